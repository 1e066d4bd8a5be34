#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# The manual pages say what --help says: of refkeeper each verb's usage, of refkeeperd each option
# and what it does.

set -eu
plain() { sed 's/\\-/-/g; s/\\&//g' "$RK_SRCDIR/man/$1"; }

# "option TAB words of its description, without what is in brackets", one option a line.
options_of_help() {
    "$RK_BUILDDIR/refkeeperd" --help | sed 's/^  -h, --help/  --help/' | awk '
        function end() { if (option != "") print option "\t" words; option = words = "" }
        function add() { for (i = 1; i <= NF; i++) words = words " " $i }
        /^  --/ { end(); option = $1; sub(/^  --[^ ]+( [A-Z][^ ]*)?/, ""); add(); next }
        /^ *$/ || /^[^ ]/ { end(); next }
        option != "" { add() }
        END { end() }' | sed -E 's/ \[[^]]*\]$//'
}

options_of_page() {
    plain refkeeperd.8 | sed 's/^\.BR -h ", " --help/.B --help/' | awk '
        function end() { if (option != "") print option "\t" words; option = words = "" }
        /^\.(TP|SH)/ { end(); next }
        /^\.BI? --/ { option = $2; next }
        option != "" { for (i = 1; i <= NF; i++) words = words " " $i }' |
        sed 's/\.$//'
}

without_brackets() { tr '[:upper:]' '[:lower:]' | sed -E 's/ \([^()]*\)//g'; }

verbs=$("$RK_BUILDDIR/refkeeper" --help | sed -n '/^Verbs:/,/^$/s/^  //p')
options=$(options_of_help)
page=$(options_of_page | without_brackets)
number=0
bad=0
tell() {
    number=$((number + 1))
    if [ "$1" = 0 ]; then echo "ok $number - $2"; else
        echo "not ok $number - the manual lacks: $2"
        bad=1
    fi
}

echo "1..$(printf '%s\n%s\n' "$verbs" "$options" | wc -l)"
manual=$(plain refkeeper.1)
while IFS= read -r usage; do
    printf '%s\n' "$manual" | grep -Fqx -- "$usage" && found=0 || found=1
    tell "$found" "$usage"
done <<END
$verbs
END
while IFS= read -r option; do
    wanted=$(printf '%s\n' "$option" | without_brackets)
    printf '%s\n' "$page" | grep -Fqx -- "$wanted" && found=0 || found=1
    tell "$found" "refkeeperd $option"
done <<END
$options
END
exit $bad
