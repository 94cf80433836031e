#!/usr/bin/env bash
# Installs what the build needs and this machine lacks. Says what it does, asks nothing, and installs
# nothing the second time. Made for Debian 12; elsewhere it names what is missing.
set -euo pipefail

have() { command -v "$1" >/dev/null 2>&1; }

# Any clang from 14 on compiles RocksDB and lends its libclang to the generator of the bindings.
have_clang() {
    local clang
    for clang in clang++ clang++-{14..22}; do have "$clang" && return 0; done
    return 1
}

have_libclang() {
    compgen -G "${LIBCLANG_PATH:-/usr/lib/llvm-*/lib}/libclang*.so*" >/dev/null
}

# Headers of the C and C++ libraries, wherever they lie.
have_header() { echo "#include <$2>" | "$1" -E -x "$3" - >/dev/null 2>&1; }

if ! have cargo; then
    echo "setup: Rust is missing: install 1.95 or newer (https://rustup.rs), then try again" >&2
    exit 1
fi

packages=()
have cc || packages+=(gcc)
{ have cc && have_header cc stdlib.h c; } || packages+=(libc6-dev)
{ have c++ && have_header c++ vector c++; } || packages+=(g++)
have ar || packages+=(binutils)
# In CI the tests of real faults must run; elsewhere they say what they lack.
if [ "${CI:-}" = true ]; then
    have ip || packages+=(iproute2)
    have nft || packages+=(nftables)
    have mkfs.ext4 || packages+=(e2fsprogs)
fi
have_clang || packages+=(clang-14)
have_libclang || packages+=(libclang1-14)

if [ ${#packages[@]} -eq 0 ]; then
    exit 0
fi

install="apt-get install -y --no-install-recommends ${packages[*]}"
if ! have apt-get; then
    echo "setup: missing, and this is not Debian: ${packages[*]} (Debian's names)" >&2
    exit 1
elif [ "$(id -u)" -eq 0 ]; then
    as_root=()
elif have sudo && sudo -n true 2>/dev/null; then
    as_root=(sudo -n)
else
    echo "setup: missing: ${packages[*]}. Run this as root, then try again:" >&2
    echo "    apt-get update && $install" >&2
    exit 1
fi

echo "setup: installing ${packages[*]}"
export DEBIAN_FRONTEND=noninteractive
"${as_root[@]}" apt-get update -q
# shellcheck disable=SC2086 # the command is a list of words
"${as_root[@]}" $install
