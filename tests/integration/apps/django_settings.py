"""Settings of the Django application."""

ROOT_URLCONF = "tests.integration.apps.django_app"
ALLOWED_HOSTS = ["*"]
SECRET_KEY = "test"
MIDDLEWARE: list[str] = []
