# One container with everything: docker build -t autodl . && docker run -p 8000:8000 -v autodl:/data autodl
# With CUDA:                       docker build -t autodl --build-arg WHEELS=cuda . && docker run --gpus all ... autodl
# A web server, a worker alone:    docker build -t autodl-web --target web .           (or --target worker)
# With Python 3.6 for challenge code of 2019 and 2020: docker build -t autodl --target challenge .
ARG WHEELS=cpu

FROM python:3.11-slim-bookworm AS system
RUN apt-get update \
    && apt-get install -y --no-install-recommends libgomp1 redis-server \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /app
COPY requirements.txt .

FROM system AS packages-cpu
RUN pip install --no-cache-dir --extra-index-url https://download.pytorch.org/whl/cpu -r requirements.txt

# The wheels of the Python Package Index bring CUDA
FROM system AS packages-cuda
RUN pip install --no-cache-dir -r requirements.txt

FROM packages-${WHEELS} AS site
COPY . .
RUN useradd --create-home autodl && install -d -o autodl -m 700 /data /data/media /data/media/uploads
USER autodl

ENV DATA_DIR=/data AUTODL_WEIGHTS_DIR=/data/weights HOST=0.0.0.0 PORT=8000 PYTHONDONTWRITEBYTECODE=1
VOLUME /data
EXPOSE 8000
STOPSIGNAL SIGTERM
# The first start migrates the database and collects static files
HEALTHCHECK --interval=30s --timeout=10s --start-period=120s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen(f'http://127.0.0.1:{os.environ[\"PORT\"]}/readyz')"]
CMD ["python", "-m", "webapp.ops.up"]

FROM site AS web
CMD ["python", "-m", "webapp.ops.up", "--role", "web"]

# It serves no page; the reaper notices when it is lost
FROM site AS worker
HEALTHCHECK NONE
CMD ["python", "-m", "webapp.ops.up", "--role", "worker"]

FROM python:3.6-slim-bullseye AS challenge-packages
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev make && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY Makefile requirements-challenge.txt ./
RUN make challenge-env CHALLENGE_BASE_PYTHON=python3.6 CHALLENGE_ENV=/opt/challenge \
    && install -D -t /opt/challenge-libraries /usr/lib/*-linux-gnu/libffi.so.7 /usr/lib/*-linux-gnu/libssl.so.1.1 \
        /usr/lib/*-linux-gnu/libcrypto.so.1.1 /usr/local/lib/libpython3.6m.so.1.0

FROM site AS challenge
USER root
COPY --from=challenge-packages /usr/local/bin/python3.6 /usr/local/bin/
COPY --from=challenge-packages /usr/local/lib/python3.6 /usr/local/lib/python3.6
COPY --from=challenge-packages /opt/challenge-libraries /usr/local/lib
COPY --from=challenge-packages /opt/challenge /opt/challenge
RUN ldconfig && /opt/challenge/bin/python -c "import tensorflow, torch"
USER autodl
ENV CHALLENGE_PYTHON=/opt/challenge/bin/python

FROM site
