#!/bin/sh
# A job that is a shell pipeline: the ten most frequent words of real text, counted by standard tools.
#   kiln submit -- client/cpp/examples/shell_pipeline.sh [FILE...]
# Checks its total against a second way of counting; exit code 1 if they differ.
set -eu
[ $# -gt 0 ] || set -- /usr/share/common-licenses/*
export LC_ALL=C

words() { cat "$@" | tr 'A-Z' 'a-z' | tr -cs 'a-z' '\n' | sed '/^$/d'; }

counts=$(words "$@" | sort | uniq -c | sort -k1,1nr -k2)
echo "$counts" | head -n 10
total=$(echo "$counts" | awk '{ sum += $1 } END { print sum }')
expected=$(words "$@" | wc -l)
if [ "$total" -ne "$expected" ]; then
  echo "RESULT shell_pipeline WRONG words=$total expected=$expected"
  exit 1
fi
echo "RESULT shell_pipeline ok words=$total"
