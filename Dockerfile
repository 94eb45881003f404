# Two stages: the second has neither pip's caches nor the sources.
FROM python:3.12-slim-bookworm AS build
WORKDIR /src
RUN python -m venv /opt/collector
COPY requirements.lock ./
RUN /opt/collector/bin/pip install --no-cache-dir --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY collector collector
RUN /opt/collector/bin/pip install --no-cache-dir --no-deps .

# Debian 12, not Alpine: the Zerobus SDK needs glibc 2.34 or newer.
FROM python:3.12-slim-bookworm
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
# 1 is degraded or offline: a cloud or a broker that is away is what the spool is for.
HEALTHCHECK --interval=60s --timeout=10s --start-period=60s \
    CMD collector status >/dev/null; test $? -le 1
ENTRYPOINT ["collector"]
CMD ["run"]
