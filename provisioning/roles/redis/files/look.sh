# What there is on a host, one thing a line. look.yaml runs it, with what to look for in the environment.
for each in dockerd docker; do
  command -v "$each" >/dev/null && echo "has $each"
done
docker --version 2>/dev/null | grep -qi podman && echo "has podman"
grep -q '/run/docker\.sock$' /proc/net/unix && echo "has socket"
dpkg-query --show --showformat='${db:Status-Status}\n' python3-requests 2>/dev/null | grep -qx installed && echo "has modules"
[ "$(systemctl is-active docker) $(systemctl is-enabled docker)" = "active enabled" ] && echo "has service"
grep -qs rolling /opt/redis/.changing && echo "has rolling"
grep -qs moving /opt/redis/.changing && echo "has moving"
[ -e /run/redis-gauntlet.harm ] && echo "harm $(cat /run/redis-gauntlet.harm)"

echo "memory $(cat /proc/sys/vm/overcommit_memory)"
echo "pages $(cat /sys/kernel/mm/transparent_hugepage/enabled 2>/dev/null)"

stat --format='directory %u %g %a' /opt/redis 2>/dev/null
for each in $FILES; do
  [ -f "$each" ] && echo "file $each $(stat --format='%u %g %a' "$each") $(sha256sum <"$each" | cut -d ' ' -f 1)"
done

command -v docker >/dev/null || exit 0
docker info --format 'engine {{.LiveRestoreEnabled}} {{.Swarm.LocalNodeState}}
security {{.SecurityOptions}}' 2>/dev/null || exit 0
docker image inspect "$IMAGE" >/dev/null 2>&1 && echo "has image"
docker ps --all --format "container $CONTAINER"
# Which data a server would find. `old`: an append-only file that its server wrote no more, by what its configuration
# says, or said when the teardown removed it. `log`: one that is later than any snapshot, which is also written beside it.
for each in $VOLUMES; do
  name=${each%%=*}
  place=$(docker volume inspect --format '{{.Mountpoint}}' "$name" 2>/dev/null) || continue
  last=$(sed -n 's/^appendonly *//p' "${each#*=}" 2>/dev/null)
  if [ ! -s "$place/nodes.conf" ]; then echo "volume $name empty"
  elif [ -e "$place/appendonlydir" ] || [ -e "$place/appendonly.aof" ]; then
    later=$(find "$place/appendonlydir" "$place/appendonly.aof" -type f -newer "$place/dump.rdb" 2>/dev/null)
    if [ "${last:-$(cat "$place/.appendonly" 2>/dev/null)}" = no ]; then echo "volume $name data old"
    elif [ -n "$later" ] || [ ! -s "$place/dump.rdb" ]; then echo "volume $name data log"
    else echo "volume $name data"; fi
  elif [ -s "$place/dump.rdb" ]; then echo "volume $name data snapshot"
  else echo "volume $name data"; fi
done
exit 0
