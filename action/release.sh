#!/usr/bin/env bash
# What .github/workflows/release.yml makes of the wheels of a release.
#
#   release.sh version                   the version in Cargo.toml
#   release.sh archives WHEELS ARCHIVES  flowyard-VERSION-TARGET.tar.gz of each target, with the very binary of its wheel
#   release.sh table ARCHIVES            what action/release.json says of them, for install.sh: a key a line
#   release.sh tag                       by which workflows name the action: `v2` of 2.3.4; `v1` before 1.0.0 too, so that
#                                        no workflow has to be changed for that
#   release.sh move TABLE BRANCH         commits the table on top of what is checked out, moves that tag there, and merges
#                                        the commit into the branch; neither where there is a newer version already
#
# Both folders are flat. A target without its wheel or archive fails: a release has all of them, or is none.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

fail() {
    printf 'error: %s\n' "$1" >&2
    exit 1
}

# Each target of install.sh, and how the names of its wheels end.
targets() {
    cat <<'END'
x86_64-unknown-linux-gnu manylinux_*_x86_64.whl
aarch64-unknown-linux-gnu manylinux_*_aarch64.whl
x86_64-apple-darwin macosx_*_x86_64.whl
aarch64-apple-darwin macosx_*_arm64.whl
x86_64-pc-windows-msvc win_amd64.whl
END
}

version() {
    sed -n '/^\[package\]$/,/^\[/s/^version = "\(.*\)"$/\1/p' "$here/../Cargo.toml"
}

tag() {
    local major
    major=$(version)
    major=${major%%.*}
    printf 'v%s\n' "$((major == 0 ? 1 : major))"
}

archives() {
    local wheels=$1 out=$2 version target ending found name binary inside
    version=$(version)
    mkdir -p "$out"
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    while read -r target ending; do
        # Python writes versions in another way: 1.0.0rc1 is 1.0.0-rc.1.
        # shellcheck disable=SC2206 # the ending is a pattern, the folder is not
        found=("$wheels/flowyard-"*-$ending)
        if [ "${#found[@]}" -ne 1 ] || [ ! -f "${found[0]}" ]; then
            fail "$target needs one wheel in $wheels"
        fi
        inside=$(basename "${found[0]}" | cut -d - -f 1,2).data/scripts
        binary=flowyard
        case $target in
            *windows*) binary=flowyard.exe ;;
        esac
        name=flowyard-$version-$target
        mkdir "$work/$name"
        # A wheel is a zip file; every runner has Python.
        python3 -c 'import sys, zipfile; sys.stdout.buffer.write(zipfile.ZipFile(sys.argv[1]).read(sys.argv[2]))' \
            "${found[0]}" "$inside/$binary" >"$work/$name/$binary"
        chmod 755 "$work/$name/$binary"
        cp "$here"/../LICENSE* "$here/../README.md" "$work/$name/"
        tar -czf "$out/$name.tar.gz" -C "$work" "$name"
    done < <(targets)
}

table() {
    local archives=$1 version target archive hash separator=
    version=$(version)
    printf '{\n  "repository": "%s",\n' "$(sed -n 's/^ *"repository": *"\([^"]*\)",$/\1/p' "$here/release.json")"
    printf '  "version": "%s",\n  "sha256": {' "$version"
    while read -r target _; do
        archive=$archives/flowyard-$version-$target.tar.gz
        [ -f "$archive" ] || fail "there is no $archive"
        hash=$(sha256sum <"$archive" | cut -d ' ' -f 1)
        printf '%s\n    "%s": "%s"' "$separator" "$target" "$hash"
        separator=,
    done < <(targets)
    printf '\n  }\n}\n'
}

# Whether the table at a tag or branch is of no newer version than this one. The one of an earlier run is not.
is_newest_at() {
    local there
    there=$(gh api "repos/$GITHUB_REPOSITORY/contents/action/release.json?ref=$1" \
        -H 'Accept: application/vnd.github.raw+json' | sed -n 's/^ *"version": *"\([^"]*\)",$/\1/p') ||
        fail "the table at $1 cannot be read"
    [ "$(printf '%s\n' "$there" "$(version)" | sort -V | tail -n 1)" = "$(version)" ]
}

# By GitHub's API: no credentials stand in the checkout, and GitHub signs the commit. The tag so names exactly the sources
# of the release and its hashes, whatever came to the branch since.
move() {
    local table=$1 branch=$2 git=repos/$GITHUB_REPOSITORY/git tag tree commit
    tag=$(tag)
    tree=$(gh api "$git/trees" -f base_tree="$(git rev-parse 'HEAD^{tree}')" \
        -f 'tree[][path]=action/release.json' -f 'tree[][mode]=100644' -f 'tree[][type]=blob' \
        -F "tree[][content]=@$table" --jq .sha)
    commit=$(gh api "$git/commits" -f message="Name the hashes of $(version)" -f tree="$tree" \
        -f "parents[]=$(git rev-parse HEAD)" --jq .sha)
    if ! gh api "$git/ref/tags/$tag" --silent; then
        gh api "$git/refs" -f ref="refs/tags/$tag" -f sha="$commit" --silent
    elif is_newest_at "$tag"; then
        gh api --method PATCH "$git/refs/tags/$tag" -f sha="$commit" -F force=true --silent
    fi
    if is_newest_at "$branch"; then
        gh api "repos/$GITHUB_REPOSITORY/merges" -f base="$branch" -f head="$commit" --silent
    fi
}

case ${1:-} in
    version) version ;;
    archives) archives "${2:?the folder of the wheels}" "${3:?the folder of the archives}" ;;
    table) table "${2:?the folder of the archives}" ;;
    tag) tag ;;
    move) move "${2:?the table}" "${3:?the branch}" ;;
    *) fail 'expected version, archives, table, tag or move' ;;
esac
