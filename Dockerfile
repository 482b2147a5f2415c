# One image for web, worker, beat and flower; docker-compose.yml has their commands.
FROM python:3.13-slim

ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_NO_CACHE_DIR=1
WORKDIR /app
RUN useradd --system --uid 10001 --no-create-home ocpp && install -d -o ocpp -m 700 /files

COPY requirements.txt .
RUN pip install --disable-pip-version-check -r requirements.txt

COPY manage.py .
COPY core core
COPY chargers chargers
COPY transactions transactions
COPY commands commands
COPY gateway gateway
COPY dashboard dashboard
COPY config config
COPY locale locale
COPY tools tools
# The settings require a key, though this step does not use it; the key does not remain in the image.
RUN SECRET_KEY=$(head -c 32 /dev/urandom | base64) SECRETS_KEYS=none python manage.py collectstatic --noinput

USER ocpp
EXPOSE 8000
CMD ["python", "-m", "tools.stack", "web"]
