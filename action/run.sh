#!/usr/bin/env bash
# Runs flowyard with the action's inputs as its arguments. Bash 3.2, which macOS has, is enough.
set -euo pipefail

# Nothing that an input says is repeated here: it may hold a command for the runner.
refuse() {
    printf '::error title=flowyard::%s\n' "$1"
    exit 2
}

# The text without white space around it: a YAML block ends with a newline, a file from Windows has carriage returns.
trimmed() {
    local text=$1
    text=${text#"${text%%[![:space:]]*}"}
    printf '%s' "${text%"${text##*[![:space:]]}"}"
}

# value OPTION TEXT: an option with a value, where there is one. `--name=value` is one argument, whatever the value is.
value() {
    local text
    text=$(trimmed "$2")
    case $text in
        '') return ;;
        *$'\n'*) refuse "the input of --$1 takes one line" ;;
    esac
    arguments+=("--$1=$text")
}

# switch OPTION TEXT: an option that is given or not.
switch() {
    case $(trimmed "$2") in
        true | True | TRUE) arguments+=("--$1") ;;
        false | False | FALSE | '') ;;
        *) refuse "the input of --$1 is true or false" ;;
    esac
}

# each FUNCTION TEXT: calls the function for every line that is not blank.
each() {
    local line
    while IFS= read -r line || [ -n "$line" ]; do
        line=$(trimmed "$line")
        if [ -n "$line" ]; then
            "$1" "$line"
        fi
    done <<<"$2"
}

project() {
    arguments+=("--project=$1")
}

argument() {
    arguments+=("$1")
}

# The files that a pattern matches, none of which there may be: then flowyard tells which shards left nothing.
outcome() {
    local file files pattern=$1 separators=$IFS
    # There a backslash is a separator, and here it would quote.
    if [ "${RUNNER_OS:-}" = Windows ]; then
        pattern=${pattern//\\//}
    fi
    shopt -s nullglob
    # Without a separator only the pattern is expanded, and no word is split. Below, Bash 3.2 would join the files.
    IFS=''
    # shellcheck disable=SC2206
    files=($pattern)
    IFS=$separators
    shopt -u nullglob
    for file in ${files[@]+"${files[@]}"}; do
        case $file in
            -*) file=./$file ;;
        esac
        outcomes+=("$file")
    done
}

command=$(trimmed "$INPUT_COMMAND")
case $command in
    '' | *[!a-z-]* | -*) refuse 'the input "command" is one word, such as plan; further arguments go to "args"' ;;
esac
arguments=("$command")
outcomes=()

value env "$INPUT_ENVIRONMENT"
value root "$INPUT_ROOT"
switch local "$INPUT_LOCAL"
each project "$INPUT_PROJECTS"
value since "$INPUT_SINCE"
value against "$INPUT_AGAINST"
value out "$INPUT_OUT"
value plan "$INPUT_PLAN_FILE"
switch check "$INPUT_CHECK"
switch prune "$INPUT_PRUNE"
switch keep-going "$INPUT_KEEP_GOING"
value jobs "$INPUT_JOBS"
value shards "$INPUT_SHARDS"
value shard "$INPUT_SHARD"
switch dry-run "$INPUT_DRY_RUN"
switch yes "$INPUT_YES"
switch comment "$INPUT_COMMENT"
switch commit-status "$INPUT_COMMIT_STATUS"
switch github-deployment "$INPUT_GITHUB_DEPLOYMENT"
switch drift-issue "$INPUT_DRIFT_ISSUE"
each argument "$INPUT_ARGS"
each outcome "$INPUT_OUTCOMES"

# Git's Bash there would take whatever begins with a slash for a path, and rewrite it.
if [ "${RUNNER_OS:-}" = Windows ]; then
    export MSYS2_ARG_CONV_EXCL='*'
fi
# In place of this shell, which would keep the runner's signals to itself. An empty list is an error for Bash before 4.4.
exec "$FLOWYARD" "${arguments[@]}" ${outcomes[@]+"${outcomes[@]}"}
