#!/usr/bin/env bash
# A Python kernel in bubblewrap, for nbgrader: no network, and nothing can be written but /tmp. Of the home folder
# only Python and swin_edu are there, of the course (three folders above course/autograded/STUDENT/A1) only the
# notebook's own folder. Kernel and nbgrader talk through sockets beside the connection file.
set -euo pipefail
connection=$(realpath "$1")
sockets=$(dirname "$connection")
[ "$sockets" != /tmp ] || { echo "closed kernel: start nbgrader with TMPDIR=\$(mktemp -d)" >&2; exit 1; }
notebook=$PWD
course=$(realpath "$notebook/../../..")
keep=()
while read -r folder; do keep+=(--ro-bind "$folder" "$folder"); done < <(
    python3 -c 'import os, sys, swin_edu
for path in (sys.prefix, sys.base_prefix, os.path.dirname(swin_edu.__path__[0])): print(os.path.realpath(path))'
)
exec prlimit --fsize=$((2 ** 26)) --core=0 \
    bwrap --ro-bind / / --dev /dev --proc /proc --tmpfs /tmp --tmpfs "$HOME" --tmpfs "$course" "${keep[@]}" \
    --ro-bind "$notebook" "$notebook" --bind "$sockets" "$sockets" --unshare-pid --unshare-ipc --unshare-net \
    --unshare-uts --die-with-parent --new-session --unsetenv JPY_PARENT_PID --chdir "$notebook" \
    python3 -m ipykernel_launcher -f "$connection"
