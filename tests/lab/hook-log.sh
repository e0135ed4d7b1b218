#!/bin/sh
# A hook of libvirt's that only writes down how it was called: FOLDER/TIME/{call,xml,links}.
# The test's host puts its folder in the place of @FOLDER@ (tests/support/libvirtd.py).
# shellcheck shell=dash
call=@FOLDER@/$(date +%s.%N)-$$
mkdir "$call.new"
printf '%s\n' "$@" >"$call.new/call"
cat >"$call.new/xml"
ip -j -d link show >"$call.new/links"
mv "$call.new" "$call"
