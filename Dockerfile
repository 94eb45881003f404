# Two stages: the second has neither pip's caches nor the sources.
#
#   docker build -t collector .                              the collector
#   docker build -t collector-emulator --target emulator .   a local Zerobus, for trying it out
#
# Debian 12, not Alpine: the Zerobus SDK needs glibc 2.34 or newer.
FROM python:3.11-slim-bookworm AS build
WORKDIR /src
RUN python -m venv /opt/collector
COPY requirements.lock ./
RUN /opt/collector/bin/pip install --no-cache-dir --require-hashes --only-binary :all: -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY collector collector
RUN /opt/collector/bin/pip install --no-cache-dir --no-deps .

FROM build AS emulator
RUN /opt/collector/bin/pip install --no-cache-dir ".[emulator]" \
    && install --directory --owner=10001 --group=10001 /lake
ENV PATH=/opt/collector/bin:$PATH PYTHONUNBUFFERED=1
USER 10001:10001
# It listens on loopback: whoever uses it shares its network.
VOLUME /lake
ENTRYPOINT ["collector", "emulate"]
CMD ["--lake", "/lake"]

FROM python:3.11-slim-bookworm
RUN install --directory --owner=10001 --group=10001 --mode=0700 /var/lib/collector /run/collector
COPY --from=build /opt/collector /opt/collector
ENV PATH=/opt/collector/bin:$PATH \
    PYTHONFAULTHANDLER=1 \
    PYTHONUNBUFFERED=1 \
    COLLECTOR_CONFIG=/etc/collector/stations.yaml \
    STATE_DIRECTORY=/var/lib/collector \
    RUNTIME_DIRECTORY=/run/collector
USER 10001:10001
WORKDIR /etc/collector
VOLUME /var/lib/collector
STOPSIGNAL SIGTERM
# A cloud or a broker that is away is what the spool is for: only a daemon that stands still or can't
# store fails.
HEALTHCHECK --interval=60s --timeout=10s --start-period=60s \
    CMD ["collector", "status", "--probe", "ready"]
ENTRYPOINT ["collector"]
CMD ["run"]
