use super::*;

fn read_for(text: &str, platforms: &[&str]) -> Needs {
    let arguments = BTreeMap::from([("GIVEN".to_owned(), "3.12".to_owned())]);
    let platforms: Vec<String> = platforms.iter().map(|one| (*one).to_owned()).collect();
    needs(text, &arguments, &platforms)
}

fn read(text: &str) -> Needs {
    read_for(text, &["linux/arm64"])
}

#[test]
fn bases_are_told_with_their_arguments() {
    let needs = read(
        "# syntax=docker/dockerfile:1\nARG GIVEN=3.9\nARG TAG=${GIVEN}-slim\nFROM --platform=linux/amd64 \
         python:$TAG AS build\nRUN --mount=type=bind,from=tools:1,target=/t x\nFROM ${REG:-ghcr.io}/base\n\
         COPY --from=build /a /b\nCOPY --from=0 /a /c\nCOPY --from=nginx:1 /x /y\nFROM scratch\nFROM build\n",
    );
    assert_eq!(needs.faults, []);
    assert_eq!(
        needs.bases,
        ["python:3.12-slim", "tools:1", "ghcr.io/base", "nginx:1"]
    );
    assert!(needs.sources.is_empty() && !needs.everything);
}

#[test]
fn arguments_are_made_of_each_other() {
    let bases = |text: &str| {
        let needs = read(text);
        needs
            .bases
            .into_iter()
            .chain(needs.faults.into_iter().map(|fault| fault.1))
            .collect::<Vec<_>>()
    };
    let text =
        "ARG PY=3.12.7\nARG MINOR=${PY%.*}\nARG TAG=${MINOR:-3}$NONE-slim\nFROM python:$TAG\n";
    assert_eq!(bases(text), ["python:3.12-slim"]);
    // What cannot be read is told where it is needed, also what is longer than any name.
    let told = "the image `python:$A` cannot be read";
    assert_eq!(bases("ARG A=${B!c}\nFROM python:$A\n"), [told]);
    let doubled: String = (0..64)
        .map(|at| format!("ARG A{}=$A{at}$A{at}\n", at + 1))
        .collect();
    let text = format!("ARG A0=xxxx\n{doubled}ARG A=$A64\nFROM python:$A\n");
    assert_eq!(bases(&text), [told]);
    let text = "ARG A=$BUILDARCH\nFROM python${A:+-$A}\n";
    assert_eq!(bases(text), ["the image `python${A:+-$A}` cannot be read"]);
    // Nobody needs it.
    let long = "x".repeat(10_000);
    assert_eq!(
        bases(&format!("ARG CERTIFICATE={long}\nFROM python\n")),
        ["python"]
    );
    let braces = "the image `python:${A` cannot be read";
    assert_eq!(bases("FROM python:${A\n"), [braces]);
}

/// What the text is with every name that can be pinned in brackets.
fn named(text: &str, platforms: &[&str]) -> String {
    let needs = read_for(text, platforms);
    assert_eq!(needs.faults, []);
    let mut text = text.to_owned();
    for base in needs.named.iter().rev() {
        assert!(needs.bases.contains(&base.name), "{base:?}");
        text.replace_range(base.place.clone(), &format!("[{}]", base.name));
    }
    text
}

#[test]
fn bases_are_told_with_their_places() {
    let text = "# syntax=docker/dockerfile:1\r\nARG GIVEN\nFROM --platform=$BUILDPLATFORM \\\n    # why\n\n    \
                python:${GIVEN} AS build\nRUN <<EOF\nFROM python:3.12\nEOF\ncopy --chown=1 --from=uv:0.9 /uv /bin/\nFROM \
                build\nRUN --network=none --mount=type=bind,from=uv:latest,source=/uv,target=/uv \\\n  \
                --mount=from=build,target=/b uv sync --mount=from=x\nCOPY --from=build /a /b\nfrom \"python:3.12\" as last\n";
    let expected = text
        .replace(" python:${GIVEN}", " [python:3.12]")
        .replace("from=uv:0.9", "from=[uv:0.9]")
        .replace("from=uv:latest", "from=[uv:latest]")
        .replace("\"python:3.12\"", "[python:3.12]");
    assert_eq!(named(text, &["linux/amd64"]), expected);
}

#[test]
fn a_base_may_depend_on_the_platform() {
    let text = "ARG TARGETARCH\nFROM a AS base-amd64\nFROM base-${TARGETARCH}\nFROM c\n";
    assert_eq!(
        named(text, &["linux/arm64"]),
        "ARG TARGETARCH\nFROM [a] AS base-amd64\nFROM [base-arm64]\nFROM [c]\n"
    );
    // A stage of its own on one of them, and so no single image to be named there.
    let both = ["linux/amd64", "linux/arm64"];
    assert_eq!(
        named(text, &both),
        "ARG TARGETARCH\nFROM [a] AS base-amd64\nFROM base-${TARGETARCH}\nFROM [c]\n"
    );
    assert_eq!(read_for(text, &both).bases, ["a", "c", "base-arm64"]);
    let faults = read_for("FROM a-$BUILDARCH\nFROM $NONE\n", &both).faults;
    assert_eq!(
        faults,
        [
            (
                1,
                "the image `a-$BUILDARCH` depends on the machine that builds it".to_owned()
            ),
            (
                2,
                "the image `$NONE` names an argument without a value".to_owned()
            )
        ]
    );
}

#[test]
fn a_shift_begins_no_here_document() {
    for shift in ["A=$(( 1 << 20 ))", "echo $((1<<20))", "cat <<< x", "x <<"] {
        let text = format!("FROM a\nRUN {shift}\nCOPY b /c\nFROM d\n");
        let needs = read(&text);
        assert_eq!((needs.bases.len(), needs.sources.len()), (2, 1), "{text}");
        assert_eq!(needs.faults, []);
    }
    for begins in ["<<E", "<<-E sh", "cat << E", "3<<\"E\" <<'E F'"] {
        let text = format!("FROM a\nRUN {begins}\nFORM b\nE\nE F\nCOPY b /c\n");
        let text = if begins.contains("E F") {
            text
        } else {
            text.replace("E F\n", "")
        };
        let needs = read(&text);
        assert_eq!((needs.faults.len(), needs.sources.len()), (0, 1), "{text}");
    }
    // Only tabs may stand before its end.
    let needs = read("FROM a\nRUN <<-E\n E\n\tE\nCOPY b /c\n");
    assert_eq!((needs.faults.len(), needs.sources.len()), (0, 1));
}

#[test]
fn copied_paths_are_told() {
    let needs = read(
        "FROM a\nCOPY --chown=1:1 requirements.txt \\\n  # a comment\n  lib/ ./\nadd [\"a b.txt\", \"/x\"]\n\
         COPY <<EOF /etc/x\nCOPY no no\nEOF\nADD https://example.org/x.tgz /x\nRUN <<-'END' sh\nFROM no\nEND\n\
         COPY *.py /app/\n",
    );
    let sources: Vec<(&str, u32)> = needs
        .sources
        .iter()
        .map(|(a, b)| (a.as_str(), *b))
        .collect();
    assert_eq!(
        sources,
        [
            ("requirements.txt", 2),
            ("lib/", 2),
            ("a b.txt", 5),
            ("*.py", 13)
        ]
    );
    assert_eq!(needs.faults, []);
    assert!(read("FROM a\nCOPY $SRC /x\n").everything);
    assert!(read("FROM a\nRUN --mount=type=bind,target=/x x\n").everything);
    assert!(!read("FROM a\nRUN --mount=type=cache,target=/x x\n").everything);
}

#[test]
fn what_is_wrong_is_told_with_its_line() {
    for (text, fault) in [
        ("", "1: no `FROM` in it"),
        (
            "# x\n\nFORM python\n",
            "3: unknown instruction `FORM` in a Dockerfile",
        ),
        ("RUN x\nFROM a\n", "1: `RUN` before the first `FROM`"),
        (
            "FROM a AS\n",
            "1: `FROM` is not `FROM image` or `FROM image AS stage`",
        ),
        (
            "FROM $NONE\n",
            "1: the image `$NONE` names an argument without a value",
        ),
        (
            "FROM a\nCOPY x\n",
            "2: `COPY` and `ADD` have a source and a destination",
        ),
        (
            "FROM a\nCOPY x/../../y /\n",
            "2: `x/../../y` leads out of the build's context",
        ),
    ] {
        let faults = read(text).faults;
        let said: Vec<String> = faults
            .iter()
            .map(|(at, why)| format!("{at}: {why}"))
            .collect();
        assert_eq!(said, [fault], "{text:?}");
    }
}

#[test]
fn escapes_and_open_ends_do_no_harm() {
    let needs = read("# escape=`\nFROM a\nCOPY a `\n b /c\nRUN x \\\nCOPY d /e \\");
    assert_eq!(needs.sources.len(), 4, "{needs:?}");
    assert_eq!(read("FROM a\nCOPY a b \\").sources.len(), 1);
    let open = read("FROM a\nRUN <<EOF\nnever ended").faults;
    let fault = "unknown instruction `NEVER` in a Dockerfile";
    assert_eq!(open, [(3, fault.to_owned())]);
}
