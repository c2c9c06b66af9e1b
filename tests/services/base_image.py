"""Makes a small container image with Python 3.11 from Debian packages, as an OCI layout.

    base_image.py FOLDER

leaves FOLDER/layout, in which the image is called "3.11". Needs dpkg-deb and apt-get with a Debian 12 source, no root
and no network but Debian's mirror. The same package versions and certificates give the same bytes.

It looks like `python:3.11-slim` to those who build on it: `python`, `pip`, a shell, certificates, time zones, and
PYTHON_VERSION in its environment. Packages that pip installs go to /usr/local/lib/python3.11/dist-packages, as Debian's
Python has it.
"""

import gzip
import hashlib
import io
import json
import os
import pathlib
import subprocess
import sys
import tarfile

# What `python3` and `python3-pip` need (without the libraries of the `nis` and `dbm` modules), a shell with the usual
# small tools, certificates and time zones; libstdc++ is for compiled wheels.
PACKAGES = """
    base-files ca-certificates coreutils dash findutils grep sed libacl1 libattr1 libbz2-1.0 libc-bin libc6 libcrypt1
    libexpat1 libffi8 libgcc-s1 libgmp10 liblzma5 libncursesw6 libpcre2-8-0 libpython3-stdlib libpython3.11-minimal
    libpython3.11-stdlib libreadline8 libselinux1 libsqlite3-0 libssl3 libstdc++6 libtinfo6 libuuid1 media-types netbase
    python3 python3-distutils python3-lib2to3 python3-minimal python3-pip python3-pkg-resources python3-setuptools
    python3-wheel python3.11 python3.11-minimal tzdata zlib1g
""".split()

# Folders that are links into /usr, as on any Debian 12.
MERGED = ("bin", "sbin", "lib", "lib64")

# What nobody reads in a test. EXTERNALLY-MANAGED would keep pip from installing anything.
LEFT_OUT = (
    "usr/share/doc/",
    "usr/share/man/",
    "usr/share/info/",
    "usr/share/locale/",
    "usr/share/lintian/",
    "usr/share/zoneinfo/posix/",
    "usr/share/zoneinfo/right/",
    "usr/lib/python3.11/pydoc_data/",
    "usr/lib/python3.11/EXTERNALLY-MANAGED",
)

# The certificates of the machine, so that what it trusts is trusted in a container of it.
HOST_CERTIFICATES = pathlib.Path("/etc/ssl/certs/ca-certificates.crt")

PASSWD = """root:x:0:0:root:/root:/bin/sh
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
"""
GROUP = """root:x:0:
nogroup:x:65534:
"""


def download(folder):
    """The packages' files, from the machine's package lists, or from fresh ones where these are missing or old."""
    folder.mkdir()
    command = ["apt-get", "-qq", "-o", "APT::Sandbox::User=root"]
    ask = subprocess.run([*command, "download", *PACKAGES], cwd=folder, capture_output=True)
    if ask.returncode != 0:
        lists = folder / "lists"
        lists.mkdir()
        command += ["-o", f"Dir::State::lists={lists}", "-o", f"Dir::Cache={lists}"]
        subprocess.run([*command, "update"], cwd=folder, check=True)
        subprocess.run([*command, "download", *PACKAGES], cwd=folder, check=True)
    return sorted(folder.glob("*.deb"))


def merged(path):
    """A path of a package as it is in the image."""
    path = path.removeprefix("./").removeprefix("/").rstrip("/")
    first = path.partition("/")[0]
    return f"usr/{path}" if first in MERGED else path


def unpack(packages):
    """All entries of the image by their paths: a TarInfo and the content of a file."""
    entries = {}
    for package in packages:
        command = ["dpkg-deb", "--fsys-tarfile", str(package)]
        data = subprocess.run(command, check=True, capture_output=True).stdout
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            for member in tar:
                path = merged(member.name)
                if path in ("", ".") or path in MERGED or path.startswith(LEFT_OUT):
                    continue
                # Character sets that Python has itself.
                if "/gconv/" in path:
                    continue
                content = tar.extractfile(member).read() if member.isreg() else b""
                if member.islnk():
                    target, content = entries[merged(member.linkname)]
                    member.type, member.size = tarfile.REGTYPE, target.size
                member.name = path
                entries[path] = (member, content)
    return entries


def add(entries, path, content=b"", mode=0o644, link=None, folder=False):
    """An entry that no package has."""
    info = tarfile.TarInfo(path)
    info.mode, info.size = mode, len(content)
    if link is not None:
        info.type, info.linkname, info.mode = tarfile.SYMTYPE, link, 0o777
    if folder:
        info.type, info.mode = tarfile.DIRTYPE, mode
    entries[path] = (info, content)


def finish(entries):
    """What the packages' own scripts would have made."""
    for name in MERGED:
        add(entries, name, link=f"usr/{name}")
    for path in list(entries):
        for parent in pathlib.PurePosixPath(path).parents:
            if str(parent) != "." and str(parent) not in entries:
                add(entries, str(parent), mode=0o755, folder=True)
    for path in ("dev", "proc", "sys"):
        add(entries, path, mode=0o755, folder=True)
    if HOST_CERTIFICATES.exists():
        certificates = HOST_CERTIFICATES.read_bytes()
    else:
        paths = sorted(one for one in entries if one.endswith(".crt"))
        certificates = b"".join(entries[one][1] for one in paths)
    add(entries, "etc/ssl/certs/ca-certificates.crt", certificates)
    add(entries, "usr/lib/ssl/cert.pem", link="/etc/ssl/certs/ca-certificates.crt")
    add(entries, "etc/passwd", PASSWD.encode())
    add(entries, "etc/group", GROUP.encode())
    add(entries, "etc/nsswitch.conf", b"hosts: files dns\n")
    add(entries, "usr/bin/python", link="python3")


def layer(entries):
    """The uncompressed layer."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for path in sorted(entries):
            info, content = entries[path]
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


class Layout:
    """An OCI image layout in a folder."""

    def __init__(self, folder):
        self.folder = folder
        (folder / "blobs/sha256").mkdir(parents=True)
        (folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')

    def blob(self, media_type, content):
        """Writes a blob and gives its descriptor."""
        digest = hashlib.sha256(content).hexdigest()
        (self.folder / "blobs/sha256" / digest).write_bytes(content)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(content)}

    def document(self, media_type, value):
        """Likewise, of a JSON document."""
        return self.blob(media_type, json.dumps(value, sort_keys=True).encode())


def main():
    folder = pathlib.Path(sys.argv[1])
    packages = download(folder / "packages")
    # python3.11_3.11.2-6+deb12u6_amd64.deb
    name = next(one.name for one in packages if one.name.startswith("python3.11_"))
    version = name.split("_")[1].partition("-")[0]
    entries = unpack(packages)
    finish(entries)
    tar = layer(entries)

    kind = "application/vnd.oci.image"
    layout = Layout(folder / "layout")
    blob = layout.blob(f"{kind}.layer.v1.tar+gzip", gzip.compress(tar, 6, mtime=0))
    config = {
        "architecture": name.rpartition("_")[2].removesuffix(".deb"),
        "os": "linux",
        "created": "1970-01-01T00:00:00Z",
        "config": {
            "Cmd": ["python3"],
            "Env": [
                "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                "LANG=C.UTF-8",
                f"PYTHON_VERSION={version}",
            ],
        },
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(tar).hexdigest()}"]},
        "history": [{"created": "1970-01-01T00:00:00Z", "comment": "Debian packages"}],
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{kind}.manifest.v1+json",
        "config": layout.document(f"{kind}.config.v1+json", config),
        "layers": [blob],
    }
    entry = layout.document(f"{kind}.manifest.v1+json", manifest)
    entry["annotations"] = {"org.opencontainers.image.ref.name": "3.11"}
    (layout.folder / "index.json").write_text(
        json.dumps({"schemaVersion": 2, "manifests": [entry]})
    )
    for package in packages:
        os.remove(package)


if __name__ == "__main__":
    main()
