"""What is put into the OpenTelemetry SDK of an application: sampler, processors, and the setting up of both."""
