#!/usr/bin/env bash
# Finds or installs flowyard for the action, and sets the step's output `binary`. Bash 3.2, which macOS has, is enough.
#
# In this order:
#   $FLOWYARD_BIN      a binary that is there already
#   the release        of the version that `release.json` beside this script names, if its archive has the hash there: from
#                      the runner's tool cache, else downloaded. Pinning the action's commit so pins the binary
#   another version    if `gh attestation verify` says that the release workflow of the repository built it for that
#                      version's tag: of the input `version`, or of this commit itself. The hashes of a release are only
#                      known once it is built: `release.json` has them from the commit after its tag, where `v1` is
#   cargo              where no release is for this machine, or none is yet: what stands in the action's own folder is built
#
# The version of this commit is Cargo.toml's. So a commit between two releases is the last of them until its version is
# raised, and then is built.
# A release has flowyard-VERSION-TARGET.tar.gz for each target of `target` below, with the binary in it at any depth.
# `release.json` has the SHA-256 of each, a key a line, so that reading it takes no more than sed.
# An archive in the tool cache is verified again each time: on a runner of one's own other jobs may have written there.
# $FLOWYARD_RELEASES_URL names a mirror of the releases: URL/v1.2.3/flowyard-1.2.3-TARGET.tar.gz.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

fail() {
    printf '::error title=flowyard::%s\n' "$1"
    exit 1
}

# The output is one line, so that no name can set another one.
found() {
    case $1 in
        *$'\n'* | *$'\r'*) fail 'the path of the binary holds a line break' ;;
    esac
    printf 'binary=%s\n' "$1" >>"$GITHUB_OUTPUT"
    exit 0
}

# named KEY: the text that release.json gives a key, of which each has a line of its own; empty for null.
named() {
    sed -n 's/^ *"'"$1"'": *"\([^"]*\)",\{0,1\}$/\1/p' "$here/release.json"
}

sha256() {
    if command -v sha256sum >/dev/null; then
        sha256sum <"$1" | cut -d ' ' -f 1
    else
        shasum -a 256 <"$1" | cut -d ' ' -f 1
    fi
}

# The name under which releases have this machine; empty where they do not.
target() {
    case $(uname -s)-$(uname -m) in
        Linux-x86_64) echo x86_64-unknown-linux-gnu ;;
        Linux-aarch64 | Linux-arm64) echo aarch64-unknown-linux-gnu ;;
        Darwin-x86_64) echo x86_64-apple-darwin ;;
        Darwin-arm64) echo aarch64-apple-darwin ;;
        MINGW*-x86_64 | MSYS*-x86_64) echo x86_64-pc-windows-msvc ;;
    esac
}

# Whether the archive is the one that was released.
verified() {
    if [ -n "$expected" ]; then
        [ "$(sha256 "$1")" = "$expected" ]
    else
        # Without its tag any older archive would do.
        gh attestation verify "$1" --repo "$repository" --source-ref "refs/tags/v$version" \
            --signer-workflow "$repository/.github/workflows/release.yml" >&2
    fi
}

# Whether gh can be asked for attestations. GitHub's own server has them, for which the token of a job on a server of one's
# own is none: there gh needs a login.
can_verify() {
    command -v gh >/dev/null || return 1
    if [ "${GITHUB_SERVER_URL:-https://github.com}" != https://github.com ]; then
        unset GH_TOKEN GITHUB_TOKEN
        export GH_HOST=github.com
        gh auth status --hostname github.com >&2
    fi
}

# build REASON: what is to be had in no other way, as long as it is what stands here.
build() {
    [ "$version" = "$own" ] ||
        fail "$1: leave out the input \"version\", and the action's own is taken"
    command -v cargo >/dev/null ||
        fail "$1, and there is no cargo to build it with: install Rust (rustup.rs), or set FLOWYARD_BIN"
    printf '::notice title=flowyard::%s: it is built with cargo, which takes minutes\n' "$1"
    # A later step of the same job finds what this one built, and no other job does.
    cargo install --locked --path "$here/.." --root "$work/cargo" --target-dir "$work/target" >&2
    found "$work/cargo/bin/flowyard$suffix"
}

if [ -n "${FLOWYARD_BIN:-}" ]; then
    if [ ! -f "$FLOWYARD_BIN" ] || [ ! -x "$FLOWYARD_BIN" ]; then
        fail 'FLOWYARD_BIN names no program'
    fi
    found "$FLOWYARD_BIN"
fi

mkdir -p "$RUNNER_TEMP/flowyard"
# Commands below are given names without a drive letter, which tar takes for a host.
cd "$RUNNER_TEMP/flowyard"
work=$PWD
target=$(target)
suffix=
case $target in
    *windows*) suffix=.exe ;;
esac

repository=$(named repository)
released=$(named version)
own=$(sed -n '/^\[package\]$/,/^\[/s/^version = "\(.*\)"$/\1/p' "$here/../Cargo.toml")
version=${INPUT_VERSION:-$own}
version=${version#v}
case $version in
    '' | *[!0-9A-Za-z.+-]*) fail 'the input "version" is a version such as 1.2.3' ;;
esac
[ -n "$target" ] || build 'there is no release for this machine'
expected=
if [ "$version" = "$released" ]; then
    expected=$(named "$target")
    [ -n "$expected" ] || build "flowyard $version was not released for this machine"
elif ! can_verify; then
    build "there is no gh that can verify flowyard $version"
fi

name=flowyard-$version-$target.tar.gz
cached=${RUNNER_TOOL_CACHE:-$work/cache}/flowyard/$version/$name
# A copy of our own: what is verified is what is unpacked.
rm -rf archive new
mkdir new
if [ -f "$cached" ] && cp "$cached" archive && verified archive; then
    printf 'flowyard %s is in the tool cache\n' "$version"
else
    url=${FLOWYARD_RELEASES_URL:-https://github.com/$repository/releases/download}/v$version/$name
    status=0
    curl --fail --silent --show-error --location --retry 3 --output archive "$url" || status=$?
    # 22 is an answer that says no. Where there are hashes there is a release, and it has to be had.
    if [ "$status" -eq 22 ] && [ -z "$expected" ]; then
        build "there is no release $version"
    fi
    [ "$status" -eq 0 ] || fail "flowyard $version cannot be downloaded"
    verified archive ||
        fail "the archive of flowyard $version is not the one that was released; nothing of it was run"
    # Written whole or not at all. A cache that takes nothing only costs the next job a download.
    if mkdir -p "$(dirname "$cached")" && cp archive "$cached.$$"; then
        mv -f "$cached.$$" "$cached" || rm -f "$cached.$$"
    fi
fi
tar -xzf archive -C new
binary=$(find new -type f -name "flowyard$suffix" | head -n 1)
[ -n "$binary" ] || fail "the archive of flowyard $version holds no flowyard"
mkdir -p bin
mv -f "$binary" "bin/flowyard$suffix"
chmod 755 "bin/flowyard$suffix"
found "$work/bin/flowyard$suffix"
