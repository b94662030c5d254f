# A host's image where a registry answers. Elsewhere mmdebstrap makes it from the same package list.
ARG BASE
FROM ${BASE}
ARG PACKAGES=host-packages.txt
COPY ${PACKAGES} /tmp/packages.txt
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive xargs apt-get install -y --no-install-recommends < /tmp/packages.txt \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /tmp/packages.txt /etc/ssh/ssh_host_*
ENV LANG=C.UTF-8 TZ=UTC
LABEL redis-gauntlet=image
CMD ["sleep", "infinity"]
