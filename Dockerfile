# The image of docker-compose.yml: receiver, dashboard and every command. Build it from a clone:
#   docker build --tag otel-audit:0.1.0 .
FROM python:3.11-slim-bookworm AS build
WORKDIR /src
# The same versions, by hash, that the tests run with. First, so that a change of the code does not fetch them again.
COPY requirements.lock ./
RUN python -m venv /opt/otel-audit \
    && /opt/otel-audit/bin/python -m pip install --no-cache-dir --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY src ./src
COPY dashboard ./dashboard
RUN /opt/otel-audit/bin/python -m pip install --no-cache-dir --no-deps --no-build-isolation .

FROM python:3.11-slim-bookworm
# Whoever takes over the process owns neither the program nor anything outside its own three folders.
RUN useradd --system --uid 10001 --home-dir /data --shell /usr/sbin/nologin otel-audit \
    && install --directory --owner otel-audit --group otel-audit --mode 0700 /data \
    && install --directory --owner otel-audit --group otel-audit --mode 0700 /access \
    && install --directory --owner otel-audit --group otel-audit --mode 0755 /anchors
COPY --from=build /opt/otel-audit /opt/otel-audit
ENV PATH=/opt/otel-audit/bin:$PATH PYTHONUNBUFFERED=1
USER otel-audit
WORKDIR /data
# OTLP/gRPC, OTLP/HTTP and /healthz, dashboard
EXPOSE 4317 4318 8501
ENTRYPOINT ["otel-audit"]
CMD ["--help"]
