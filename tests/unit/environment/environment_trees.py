"""Hosts as files: what each runtime and cloud leaves to see, taken from real ones and cut to what is looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

Tree = dict[str, str]

ID = "0123456789abcdef" * 4
UID = "11111111-2222-3333-4444-555555555555"

ROOT_MOUNT = "27 1 254:0 / / rw,relatime - ext4 /dev/vda1 rw\n"
V2 = "30 27 0:26 / /sys/fs/cgroup ro,nosuid - cgroup2 cgroup rw\n"

BARE: Tree = {
    "/etc/machine-id": "0123456789abcdef0123456789abcdef\n",
    "/proc/sys/kernel/hostname": "metal\n",
    "/proc/sys/kernel/ostype": "Linux\n",
    "/proc/sys/kernel/osrelease": "6.1.0-18-amd64\n",
    "/proc/sys/kernel/version": "#1 SMP PREEMPT_DYNAMIC Debian 6.1.76-1\n",
    "/proc/sys/kernel/random/boot_id": "9d0a1f0e-3a56-4f5e-8a36-2f4b0a1a3f5b\n",
    "/etc/os-release": 'ID=debian\nVERSION_ID="12"\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n',
    "/sys/class/dmi/id/sys_vendor": "Dell Inc.\n",
    "/sys/class/dmi/id/product_name": "PowerEdge R640\n",
    "/sys/devices/system/cpu/online": "0-7\n",
    "/proc/cpuinfo": "processor\t: 0\nmodel name\t: Intel(R) Xeon(R) Gold 6130\nflags\t: fpu\n",
    "/proc/meminfo": "MemTotal:       65536 kB\nMemAvailable:   32768 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\n",
    "/proc/self/cgroup": "0::/system.slice/shop.service\n",
    "/proc/self/mountinfo": ROOT_MOUNT
    + "28 27 8:1 /data /srv/with\\040blank rw - xfs /dev/sda1 rw\n"
    + V2,
    "/proc/self/status": "Name:\tx\nCpus_allowed_list:\t0-3,6\n",
    "/sys/fs/cgroup/system.slice/shop.service/cpu.max": "150000 100000\n",
    "/sys/fs/cgroup/system.slice/shop.service/memory.max": "max\n",
    "/sys/fs/cgroup/system.slice/memory.max": "33554432\n",
    "/sys/fs/cgroup/system.slice/cpu.max": "max 100000\n",
}

DOCKER_V1: Tree = {
    **BARE,
    "/.dockerenv": "",
    "/proc/self/cgroup": f"4:memory:/docker/{ID}\n1:cpu,cpuacct:/docker/{ID}\n0::/system.slice/containerd.service\n",
    "/proc/self/mountinfo": "27 1 0:50 / / rw - overlay overlay rw\n"
    f"31 27 0:29 /docker/{ID} /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n"
    f"32 27 0:30 /docker/{ID} /sys/fs/cgroup/cpu,cpuacct ro - cgroup cgroup rw,cpu,cpuacct\n",
    "/sys/fs/cgroup/memory/memory.limit_in_bytes": "16777216\n",
    "/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "50000\n",
    "/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
}

DOCKER_V2: Tree = {
    **BARE,
    "/.dockerenv": "",
    "/proc/self/cgroup": "0::/\n",
    "/proc/self/mountinfo": "27 1 0:50 / / rw - overlay overlay rw\n"
    f"40 27 254:0 /var/lib/docker/containers/{ID}/hostname /etc/hostname rw - ext4 /dev/vda1 rw\n" + V2,
    "/sys/fs/cgroup/memory.max": "8388608\n",
    "/sys/fs/cgroup/cpu.max": "200000 100000\n",
}  # fmt: skip

PODMAN: Tree = {
    **BARE,
    "/run/.containerenv": f'engine="podman-4.3.1"\nname="shop"\nid="{ID}"\nimage="docker.io/library/node:20"\nimageid="f"\nrootless=1\n',
    "/proc/self/cgroup": "0::/\n",
}  # fmt: skip

PODMAN_BARE: Tree = {
    **BARE,
    "/proc/self/cgroup": f"0::/user.slice/user-1000.slice/libpod-{ID}.scope/container\n",
}

KUBERNETES: Tree = {
    **BARE,
    "/proc/self/cgroup": f"0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{UID.replace('-', '_')}.slice/cri-containerd-{ID}.scope\n",
    "/proc/self/mountinfo": "27 1 0:50 / / rw - overlay overlay rw\n"
    f"41 27 254:0 /var/lib/kubelet/pods/{UID}/etc-hosts /etc/hosts rw - ext4 /dev/vda1 rw\n" + V2,
    "/var/run/secrets/kubernetes.io/serviceaccount/namespace": "shops",
    "/var/run/secrets/kubernetes.io/serviceaccount/token": "s3cret-token",
    "/etc/podinfo/labels": 'app="shop"\nquoted="a \\"b\\" \\\\c"\n',
    "/etc/podinfo/name": "shop-7d9c-xyz",
    "/etc/podinfo/annotations": 'kubectl.kubernetes.io/last-applied-configuration="s3cret"\n',
}  # fmt: skip

KUBERNETES_PRIVATE: Tree = {
    **KUBERNETES,
    "/proc/self/cgroup": "0::/\n",
}

NSPAWN: Tree = {
    **BARE,
    "/run/systemd/container": "systemd-nspawn\n",
    "/proc/self/cgroup": "0::/\n",
}

NSPAWN_OUTER: Tree = {
    **BARE,
    "/proc/self/cgroup": "0::/machine.slice/systemd-nspawn@web.service/payload\n",
}

LXC: Tree = {**BARE, "/proc/self/cgroup": "0::/lxc.payload.web/init.scope\n"}

EC2: Tree = {
    **BARE,
    "/sys/class/dmi/id/sys_vendor": "Amazon EC2\n",
    "/sys/class/dmi/id/product_name": "t3.micro\n",
}

EC2_XEN: Tree = {
    **BARE,
    "/sys/class/dmi/id/sys_vendor": "Xen\n",
    "/sys/hypervisor/uuid": "ec2e1916-9099-7caf-fd21-012345abcdef\n",
}

GCE: Tree = {
    **BARE,
    "/sys/class/dmi/id/sys_vendor": "Google\n",
    "/sys/class/dmi/id/product_name": "Google Compute Engine\n",
}

AZURE: Tree = {
    **BARE,
    "/sys/class/dmi/id/sys_vendor": "Microsoft Corporation\n",
    "/sys/class/dmi/id/product_name": "Virtual Machine\n",
    "/sys/class/dmi/id/chassis_asset_tag": "7783-7084-3265-9085-8269-3286-77\n",
}

HYPER_V: Tree = {
    **BARE,
    "/sys/class/dmi/id/sys_vendor": "Microsoft Corporation\n",
    "/sys/class/dmi/id/product_name": "Virtual Machine\n",
    "/sys/class/dmi/id/chassis_asset_tag": "0000-0000\n",
}

EMPTY: Tree = {}

PROCESS: Tree = {
    "/proc/42/status": "Name:\tnode\nUid:\t1000\t1001\t1001\t1001\nGid:\t100\t101\t101\t101\nGroups:\t4 27 \nCpus_allowed_list:\t1\n",
    "/proc/42/cmdline": "node\0server.js\0postgres://shop:s3cret@db/shop\0",
    "/proc/42/environ": "PASSWORD=s3cret\0",
    "/proc/42/cgroup": "0::/system.slice/shop.service\n",
    "/proc/42/limits": "Limit                     Soft Limit           Hard Limit           Units     \n"
    "Max cpu time              unlimited            unlimited            seconds   \n"
    "Max open files            1024                 524288               files     \n"
    "Max nice priority         0                    0                    \n",
}


def plant(root: Path, tree: Tree) -> str:
    """Write `tree` below `root`, and return that as a root to read from."""
    for path, text in tree.items():
        place = root / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    return str(root)
