# The host image where a registry answers. Elsewhere mmdebstrap makes it from the same package list.
ARG BASE=debian:trixie-20250908-slim
FROM ${BASE}
COPY host-packages.txt /tmp/
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive xargs apt-get install -y --no-install-recommends < /tmp/host-packages.txt \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /tmp/host-packages.txt /etc/ssh/ssh_host_*
ENV LANG=C.UTF-8 TZ=UTC
LABEL redis-gauntlet=image
CMD ["sleep", "infinity"]
