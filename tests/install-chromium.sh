#!/bin/sh
# Browser tests drive Debian's chromium, the one without windows where it is there. Without either they skip and say so;
# as root on Debian it is installed first.
command -v chromium-headless-shell >/dev/null 2>&1 && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "installing chromium for the browser tests"
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        chromium-headless-shell fonts-liberation; } >/dev/null 2>&1 && exit 0
    command -v chromium >/dev/null 2>&1 || echo "chromium could not be installed: browser tests will skip"
fi
exit 0
