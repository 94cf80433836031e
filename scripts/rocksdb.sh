#!/usr/bin/env bash
# Compiles RocksDB once per machine, and tells Cargo where the archive lies.
#
# The sources are those of the librocksdb-sys crate that Cargo.lock names. What takes the time is not
# the code but parsing the same headers for each of 340 files, so the files are joined into a few
# units. The archive is kept outside the checkout, by version, compiler and flags: a second checkout,
# a `cargo clean` and both profiles share it. ROCKSDB_LIB_DIR, if set, is used instead.
set -euo pipefail
cd "$(dirname "$0")/.."

# Half as many take the same time: beyond this, optimising costs more than parsing.
units=16
say() { echo "rocksdb: $*" >&2; }

if [ -n "${ROCKSDB_LIB_DIR:-}" ]; then
    say "using ROCKSDB_LIB_DIR=$ROCKSDB_LIB_DIR"
    exit 0
fi
if [ "$(uname -s)" != Linux ]; then
    say "not Linux: Cargo compiles RocksDB itself"
    exit 0
fi

crate=$(cargo metadata --format-version 1 ${CI:+--locked} |
    grep -o '"manifest_path":"[^"]*/librocksdb-sys-[^"]*/Cargo.toml"' | head -n 1 |
    sed 's/^"manifest_path":"//; s/\/Cargo.toml"$//')
version=${crate##*/librocksdb-sys-}

for compiler in clang++ clang++-{22..14} c++; do
    command -v "$compiler" >/dev/null 2>&1 && break
done

# The flags of the crate's own build script, plus the checksum instructions of every x86-64 processor
# since 2010.
flags=(-O2 -fPIC -w -std=c++20 -include cstdint -DNDEBUG -DHAVE_ALIGNED_NEW
    -DHAVE_UINT128_EXTENSION -DOS_LINUX -DROCKSDB_PLATFORM_POSIX -DROCKSDB_LIB_IO_POSIX
    -DROCKSDB_SCHED_GETCPU_PRESENT -DROCKSDB_AUXV_GETAUXVAL_PRESENT -DROCKSDB_FALLOCATE_PRESENT
    -DROCKSDB_RANGESYNC_PRESENT)
case "$(uname -m)" in
x86_64) flags+=(-msse4.2 -mpclmul) ;;
aarch64) flags+=(-march=armv8-a+crc+aes+crypto) ;;
esac

key=$(echo "$("$compiler" --version | head -n 1) ${flags[*]}" | sha256sum | cut -c 1-12)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/hushlog
archive=$cache/rocksdb-$version-$key

# Cargo reads this file through .cargo/config.toml. It is written only when it changes, since Cargo
# would build everything above RocksDB again.
tell_cargo() {
    local libclang text
    libclang=$(compgen -G '/usr/lib/llvm-*/lib/libclang*.so*' | sort -V | tail -n 1 || true)
    text=$(
        echo "# Written by scripts/rocksdb.sh; not part of the project."
        echo "[env]"
        echo "ROCKSDB_LIB_DIR = \"$archive\""
        echo "ROCKSDB_STATIC = \"1\""
        [ -z "$libclang" ] || echo "LIBCLANG_PATH = \"${libclang%/*}\""
    )
    if [ "$text" != "$(cat .cargo/local.toml 2>/dev/null)" ]; then
        echo "$text" >.cargo/local.toml
    fi
}

if [ -f "$archive/librocksdb.a" ]; then
    tell_cargo
    exit 0
fi

say "compiling RocksDB $version once, with $compiler on $(nproc) cores (about 3 minutes on two)"
mkdir -p "$cache"
work=$(mktemp -d "$cache/building.XXXXXX")
trap 'rm -rf "$work"' EXIT

grep -v '^util/build_version.cc' "$crate/rocksdb_lib_sources.txt" | sed '/^[[:space:]]*$/d' >"$work/sources"
split -n "l/$units" -d --additional-suffix=.list "$work/sources" "$work/unit"
for list in "$work"/unit*.list; do
    sed "s|.*|#include \"$crate/rocksdb/&\"|" "$list" >"${list%.list}.cc"
done
cp "$crate/build_version.cc" "$work/version.cc"

# One unit; if its files do not go together (a new RocksDB may repeat a name), each by itself.
compile() {
    local unit=$1 name
    name=$(basename "$unit" .cc)
    if $CXX -c "$unit" -o "$work/$name.o" 2>"$work/$name.err"; then
        return 0
    fi
    [ -f "$work/$name.list" ] || { cat "$work/$name.err" >&2; return 1; }
    echo "rocksdb: $name does not compile as one unit, taking its files one by one" >&2
    while read -r file; do
        $CXX -c "$crate/rocksdb/$file" -o "$work/$name-${file//\//-}.o" || return 1
    done <"$work/$name.list"
}
export -f compile
export work crate
export CXX="$compiler ${flags[*]} -I$crate/rocksdb -I$crate/rocksdb/include -I$crate"
# Largest first, so that no long unit is left alone at the end.
for unit in "$work"/*.cc; do
    echo "$(sed -n 's|^#include "\(/.*\)"$|\1|p' "$unit" | xargs -r cat | wc -c) $unit"
done | sort -rn | cut -d ' ' -f 2- | xargs -P "$(nproc)" -I{} bash -euo pipefail -c 'compile "$1"' _ {}

mkdir "$work/archive"
ar crs "$work/archive/librocksdb.a" "$work"/*.o
# Whoever comes first wins; another build of the same key made the same archive.
mv -T "$work/archive" "$archive" 2>/dev/null || [ -f "$archive/librocksdb.a" ]
say "done in $SECONDS s: $archive ($(du -m "$archive/librocksdb.a" | cut -f 1) MB)"
tell_cargo
