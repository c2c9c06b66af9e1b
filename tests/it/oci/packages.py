"""Makes the small packages of a package index for tests.

    packages.py FOLDER

leaves wheels and one source distribution in FOLDER:

    greet 1.0, 2.0     a program `greet`, a module, needs `words`
    words 1.0          a module
    native 1.0         a wheel each for glibc and musl on two machines, which says where it belongs
    startup 1.0        a file that Python reads at its start
    source-only 1.0    must be built
"""

import base64
import hashlib
import io
import pathlib
import sys
import tarfile
import zipfile


def wheel(folder, name, version, files, requires=(), tag="py3-none-any", scripts=()):
    info = f"{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name.replace('_', '-')}\nVersion: {version}\n"
    metadata += "".join(f"Requires-Dist: {one}\n" for one in requires)
    files = dict(files)
    files[f"{info}/METADATA"] = metadata
    files[f"{info}/WHEEL"] = (
        f"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: {tag}\n"
    )
    if scripts:
        lines = "".join(f"{one}\n" for one in scripts)
        files[f"{info}/entry_points.txt"] = f"[console_scripts]\n{lines}"
    rows = []
    for path, text in files.items():
        digest = hashlib.sha256(text.encode()).digest()
        hash = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        rows.append(f"{path},sha256={hash},{len(text.encode())}\n")
    files[f"{info}/RECORD"] = "".join(rows) + f"{info}/RECORD,,\n"
    with zipfile.ZipFile(folder / f"{name}-{version}-{tag}.whl", "w") as archive:
        for path, text in files.items():
            archive.writestr(zipfile.ZipInfo(path, (2020, 1, 1, 0, 0, 0)), text)


def source(folder, name, version):
    with tarfile.open(folder / f"{name}-{version}.tar.gz", "w:gz") as archive:
        for path, text in {
            "PKG-INFO": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
            "setup.py": "raise SystemExit('the code of a package was run')\n",
        }.items():
            member = tarfile.TarInfo(f"{name}-{version}/{path}")
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))


def main(folder):
    for version in ("1.0", "2.0"):
        text = f"import words\n\ndef main():\n    print(words.HELLO, {version!r})\n"
        wheel(
            folder,
            "greet",
            version,
            {"greet.py": text},
            requires=["words>=1"],
            scripts=["greet = greet:main"],
        )
    wheel(folder, "words", "1.0", {"words.py": "HELLO = 'hei'\n"})
    for place in (
        "manylinux_2_17_x86_64",
        "manylinux_2_17_aarch64",
        "musllinux_1_1_x86_64",
        "musllinux_1_1_aarch64",
    ):
        files = {"native.py": f"PLACE = {place!r}\n"}
        wheel(folder, "native", "1.0", files, tag=f"cp311-cp311-{place}")
    files = {"startup.pth": "import startup\n", "startup.py": "import sys\nsys.started = True\n"}
    wheel(folder, "startup", "1.0", files)
    source(folder, "source-only", "1.0")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
