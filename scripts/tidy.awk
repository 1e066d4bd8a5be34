# SPDX-License-Identifier: Apache-2.0
#
# The rules of check-tidy that look into one file after the other. Prints one finding per line:
#
#   rule subject place text
#
# subject is what a waiver names: the file, or file:function. Runs with LC_ALL=C: a character is a
# byte, and continuation bytes of UTF-8 do not count as columns.

function report(rule, subject, text)
{
    printf "%s %s %s:%d %s\n", rule, subject, FILENAME, FNR, text
}

function starts_with(text, prefix)
{
    return substr(text, 1, length(prefix)) == prefix
}

function end_of_file()
{
    if (file == "")
        return
    if (!has_license && file !~ /.\/.*\.am$/)
        printf "license %s %s:1 no SPDX-License-Identifier: Apache-2.0 at its head\n", file, file
    if (is_c && line_count > lines_max)
        printf "lines %s %s:%d over %d lines\n", file, file, line_count, lines_max
}

function start_of_file()
{
    file = FILENAME
    has_license = 0
    line_count = 0
    in_comment = 0
    function_start = 0
    candidate = ""
    is_header = file ~ /\.h(\.in)?$/
    is_c = is_header || file ~ /\.c$/
    is_src = starts_with(file, "src/")
    is_test = starts_with(file, "tests/")
    is_pure = file ~ /^src\/(base|model|raft|refdb|wire)\//
    lines_max = is_header ? 350 : is_test ? 800 : 600
}

# The line with strings, character constants and comments blanked. Keeps in_comment between lines.
function code_of(line,    out, c, two, quote, i, n)
{
    out = ""
    quote = ""
    n = length(line)
    for (i = 1; i <= n; i++) {
        c = substr(line, i, 1)
        two = substr(line, i, 2)
        if (in_comment) {
            if (two == "*/") {
                in_comment = 0
                i++
            }
        } else if (quote != "") {
            if (c == "\\")
                i++
            else if (c == quote) {
                quote = ""
                out = out c
            }
        } else if (two == "/*") {
            in_comment = 1
            out = out " "
            i++
        } else if (two == "//") {
            break
        } else {
            if (c == "\"" || c == "'")
                quote = c
            out = out c
        }
    }
    return out
}

function check_banned(code,    i)
{
    for (i = 1; i <= banned_count; i++)
        if (code ~ ("(^|[^A-Za-z0-9_.>])" banned[i] " *\\("))
            report("banned", file, banned[i] "() is banned: " reason[banned[i]])
    if (!is_src || file == "src/base/heap.c")
        return
    for (i = 1; i <= heap_count; i++)
        if (code ~ ("(^|[^A-Za-z0-9_.>])" heap[i] " *\\("))
            report("heap", file, heap[i] "(): memory comes from base/heap.h")
    if (!is_pure)
        return
    for (i = 1; i <= impure_count; i++)
        if (code ~ ("(^|[^A-Za-z0-9_.>])" impure[i] " *\\("))
            report("pure", file, impure[i] "() in a pure layer")
}

# A function's body starts at a "{" in column 0, or at the end of an unindented line "...) {", and
# ends at the next "}" in column 0.
function measure_function(code,    length_lines)
{
    if (!function_start) {
        if (code ~ /^[A-Za-z_].*\(/) {
            candidate = code
            sub(/ *\(.*/, "", candidate)
            sub(/.*[ *]/, "", candidate)
        }
        if (code ~ /^\{/ || code ~ /^[A-Za-z_].*\) *\{ *$/)
            function_start = FNR
        return
    }
    if (code !~ /^\}/)
        return
    length_lines = FNR - function_start + 1
    if (length_lines > 70)
        report("function", file ":" candidate,
               candidate "() has " length_lines " lines, at most 70")
    function_start = 0
    candidate = ""
}

function ban(name, why)
{
    banned[++banned_count] = name
    reason[name] = why
}

BEGIN {
    ban("strcpy", "no bound; use snprintf, memcpy or a buffer")
    ban("strcat", "no bound; use a buffer")
    ban("strncpy", "may leave no NUL; use snprintf or memcpy")
    ban("strncat", "its bound misleads; use a buffer")
    ban("sprintf", "no bound; use snprintf")
    ban("vsprintf", "no bound; use vsnprintf")
    ban("strtok", "hidden state; walk the text")
    ban("gets", "no bound")
    ban("atoi", "hides errors; use the parser in base")
    ban("atol", "hides errors; use the parser in base")
    ban("atoll", "hides errors; use the parser in base")
    ban("atof", "hides errors; use strtod")
    ban("rand", "not ours to seed; use base/rng.h")
    ban("srand", "not ours to seed; use base/rng.h")
    ban("random", "not ours to seed; use base/rng.h")
    ban("alloca", "unbounded stack")
    ban("tmpnam", "a race; use mkstemp")
    ban("mktemp", "a race; use mkstemp")
    ban("gmtime", "shared buffer; use gmtime_r")
    ban("localtime", "shared buffer; use localtime_r")
    ban("asctime", "shared buffer; use strftime")
    ban("ctime", "shared buffer; use strftime")
    heap_count = split("malloc calloc realloc free strdup strndup asprintf vasprintf", heap, " ")
    impure_count = split("time clock clock_gettime gettimeofday getenv getpid printf fopen open " \
                         "read write pthread_create pthread_mutex_lock", impure, " ")
}

FNR == 1 {
    end_of_file()
    start_of_file()
}

{
    line_count = FNR
    if (FNR <= 5 && /SPDX-License-Identifier: Apache-2\.0/)
        has_license = 1

    columns = $0
    gsub(/[\200-\277]/, "", columns)
    if (length(columns) > 100)
        report("columns", file, length(columns) " columns, at most 100")
    if (/[ \t]$/)
        report("blanks", file, "blanks at the end of the line")
    if (is_c && /\t/)
        report("blanks", file, "a tab; indent with 4 spaces")
    if ((" " $0 " ") ~ /[^A-Za-z0-9_](TOD[O]|FIXM[E]|XX[X]|HAC[K])[^A-Za-z0-9_]/)
        report("note", file, "a note to self; finish it or write an issue")
    if (is_test && /(^|[^A-Za-z0-9_])(u?sleep|nanosleep) *(\(|[0-9])/)
        report("sleep", file, "tests wait on an event or a virtual clock, they do not sleep")

    if (is_c) {
        code = code_of($0)
        check_banned(code)
        measure_function(code)
    }
}

END { end_of_file() }
