#!/bin/sh
# demo-vhost.sh: the demo inside the test host, where the guest's packets go through real vhost-net.
set -eu

lab=$(cd "$(dirname "$0")" && pwd)
export VMNET_DEMO_ACCEL=kvm VMNET_DEMO_QUEUES=2
echo "demo-vhost: booting Debian's kernel, emulated: real /dev/vhost-net and /dev/kvm, but slow"
exec "$lab/testhost.sh" sh "$lab/demo.sh"
