#!/bin/sh
# Becomes a systemd that is PID 1 of namespaces of its own; runs inside them, see booted.py.
#
#   boot.sh BOX REPOSITORY VENV PYTHON
#
# The root it boots is an overlay of this machine's: what it writes is in memory and gone with it.
set -eu
box=$1 repository=$2 venv=$3 python=$4

mount -t tmpfs -o mode=755,size=2g tmpfs "$box"
mkdir "$box/upper" "$box/work" "$box/root"
mount -t overlay -o "lowerdir=/,upperdir=$box/upper,workdir=$box/work" overlay "$box/root"
cd "$box/root"

# What this machine has enabled or installed by itself is not to come up.
for folder in run tmp dev etc/systemd/system; do
    mkdir -p "$folder"
    mount -t tmpfs -o mode=755 tmpfs "$folder"
done
chmod 1777 tmp
rm -rf etc/collector var/lib/collector* var/log/journal opt/collector

mount -t proc proc proc
# The kernel is this machine's: nothing in here may set it.
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount -t sysfs -o ro sysfs sys
mount -t tmpfs -o mode=755 tmpfs sys/fs/cgroup
# As this machine has them: controllers of the first version, one by one, or all in one tree.
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
    mount -t cgroup2 cgroup2 sys/fs/cgroup
else
    for folder in /sys/fs/cgroup/*; do
        [ -L "$folder" ] && continue
        mkdir ".$folder"
        if [ -e "$folder/cgroup.controllers" ]; then
            mount -t cgroup2 cgroup2 ".$folder"
        else
            name=${folder##*/}
            [ "$name" = systemd ] && name=name=systemd
            mount -t cgroup -o "$name" cgroup ".$folder"
        fi
    done
fi

mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666,mode=0620,gid=5 devpts dev/pts
ln -s pts/ptmx dev/ptmx
mount -t tmpfs -o mode=1777 tmpfs dev/shm
for device in null zero full random urandom tty; do
    : >"dev/$device"
    mount --bind "/dev/$device" "dev/$device"
done
ln -s /proc/self/fd dev/fd

# The virtual environment in the place of the package, and all by names that survive ProtectHome.
mkdir -p opt/python opt/collector/bin opt/collector/lib opt/collector/source
mount --bind "$python" opt/python
echo /opt/python/lib >etc/ld.so.conf.d/0-python.conf
chroot . ldconfig
mount --bind "$venv/lib" opt/collector/lib
mount --bind "$repository" opt/collector/source
printf 'home = /opt/python/bin\ninclude-system-site-packages = false\n' >opt/collector/pyvenv.cfg
ln -s /opt/python/bin/python3 opt/collector/bin/python
cat >opt/collector/bin/collector <<'END'
#!/opt/collector/bin/python
import sys

sys.path.insert(0, "/opt/collector/source")
from collector.cli import main

main()
END
chmod 755 opt/collector/bin/collector
cp "$repository"/systemd/*.service etc/systemd/system
chroot . id collector >/dev/null 2>&1 ||
    chroot . useradd --system --home-dir /var/lib/collector --shell /usr/sbin/nologin collector

mkdir old
pivot_root . old
umount -l old
# As a container's: by that what systemd mounts for a unit, credentials too, is seen inside of it.
mount --make-rshared /
export container=namespaces
exec /lib/systemd/systemd --unit=basic.target --show-status=false
