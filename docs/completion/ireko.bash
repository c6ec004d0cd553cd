# bash completion of ireko. The labs and machines offered are those that folders and sockets show:
# no machine is asked.

_ireko_state()
{
    printf '%s/labs' "${IREKO_HOME:-${XDG_STATE_HOME:-$HOME/.local/state}/ireko}"
}

# The paths of the machines in a lab's nest.json, which `ireko up` writes.
_ireko_paths()
{
    local nest
    for nest in "$(_ireko_state)"/*/nest.json; do
        [ -r "$nest" ] && sed -n 's/^ *"path": "\([A-Za-z0-9._\/-]*\)",*$/\1/p' "$nest"
    done
}

_ireko_labs()
{
    _ireko_folders "$(_ireko_state)"
}

# Names of the folders in $1.
_ireko_folders()
{
    local folder
    for folder in "$1"/*/; do
        [ -d "$folder" ] && basename "$folder"
    done
}

_ireko_spares()
{
    local run=${XDG_RUNTIME_DIR:+$XDG_RUNTIME_DIR/ireko}
    [ -n "$run" ] || run=${XDG_STATE_HOME:-$HOME/.local/state}/ireko/run
    [ -z "$IREKO_HOME" ] || run=$IREKO_HOME/run
    _ireko_folders "$run/.spares"
}

_ireko_templates()
{
    _ireko_folders "${IREKO_HOME:-${XDG_CACHE_HOME:-$HOME/.cache}/ireko}/templates"
}

_ireko_options()
{
    case $1 in
    check) echo --json --here --need --root --cpuid --record --explain ;;
    up) echo --accel --fresh --dry-run --json ;;
    ps | verify) echo --json ;;
    down | stop) echo --dry-run ;;
    start | snapshot | restore) echo --dry-run --json ;;
    see) echo --address --map --cpu --exits --watch --seconds --find --guest --no-pause --ram --json ;;
    run) echo --accel --detach --dry-run ;;
    bench) echo --disk --rounds --dry-run --json ;;
    image) echo --fresh --dry-run --json ;;
    template) echo --all --count --accel --dry-run --json ;;
    "vmx show") echo --explain --as --json ;;
    "vmx get" | "vmx explain") echo --json ;;
    "vmx set") echo --dry-run --force ;;
    "vmx unset" | "vmx undo") echo --dry-run ;;
    "vmx lint") echo --fix --dry-run --json ;;
    "vmx nest") echo --dry-run --json ;;
    "vmx ssd") echo --off --dry-run --json ;;
    esac
}

# The disks of a .vmx, and the keys that it has.
_ireko_disks()
{
    sed -n 's/^[ \t]*\([a-z]*[0-9]*:[0-9]*\)\.present *=.*[Tt][Rr][Uu][Ee].*/\1/p' "$1" 2>/dev/null
}

_ireko_keys()
{
    sed -n 's/^[ \t]*\([A-Za-z.][A-Za-z0-9.:_]*\)[ \t]*=.*/\1/p' "$1" 2>/dev/null
}

# Behind `ireko vmx VERB`: a .vmx, then what the verb asks for.
_ireko_vmx()
{
    local verb=$1 file=$2 word=$3
    local files keys=
    mapfile -t files < <(compgen -d -- "$word"; compgen -f -X '!*.vmx' -- "$word")
    case $verb in
    get | unset | set) keys=$(_ireko_keys "$file") ;;
    ssd) [ -z "$file" ] || { keys=$(_ireko_disks "$file"); files=(); } ;;
    lint) mapfile -t -O "${#files[@]}" files < <(compgen -f -X '!*.yaml' -- "$word") ;;
    esac
    mapfile -t COMPREPLY < <(printf '%s\n' "${files[@]}"; compgen -W "$keys" -- "$word")
}

# Behind `ireko snapshot` and `ireko restore`: a lab, then one of its snapshots.
_ireko_saved()
{
    local at=2 lab
    if [ "$1" = snapshot ] && [[ ${COMP_WORDS[2]} == @(list|remove) ]]; then
        at=3
    fi
    lab=${COMP_WORDS[at]}
    if [ "$COMP_CWORD" -eq "$at" ]; then
        words=$(_ireko_labs)
        [ "$1" != snapshot ] || [ "$at" -ne 2 ] || words="$words list remove"
    elif [ "$COMP_CWORD" -eq $((at + 1)) ]; then
        words=$(cd "$(_ireko_state)/$lab/snapshots" 2>/dev/null && echo *)
    fi
}

_ireko()
{
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} verb=${COMP_WORDS[1]}
    local words=
    if [ "$COMP_CWORD" -eq 1 ]; then
        words="check up ps verify down snapshot restore stop start console exec see run bench vmx image template --help --version"
    elif [ "$before" = --accel ]; then
        words="auto kvm tcg"
    elif [ "$verb" = check ] && [[ $before == --@(need|root|cpuid|record|explain) ]]; then
        case $before in
        --need) words="hardware" ;;
        --explain)
            words="cpu-lacks firmware-off module-missing nested-off device-missing device-denied
                device-busy hidden-by-host vhv-off container held-by-other sev-guest unknown"
            ;;
        --cpuid) mapfile -t COMPREPLY < <(compgen -f -- "$word") ;;
        *) mapfile -t COMPREPLY < <(compgen -d -- "$word") ;;
        esac
    elif [ "$verb" = see ] && [ "$before" = --ram ]; then
        mapfile -t COMPREPLY < <(compgen -f -- "$word")
    elif [ "$before" = --as ]; then
        words="qemu libvirt virtualbox"
    elif [[ $word == -* ]]; then
        [ "$verb" != vmx ] || [ "$COMP_CWORD" -eq 2 ] || verb="vmx ${COMP_WORDS[2]}"
        words="$(_ireko_options "$verb") --help"
    elif [ "$verb" = vmx ] && [ "$COMP_CWORD" -eq 2 ]; then
        words="show get set unset lint explain undo nest ssd"
    else
        case $verb in
        up) mapfile -t COMPREPLY < <(compgen -d -- "$word"; compgen -f -X '!*.yaml' -- "$word") ;;
        run) mapfile -t COMPREPLY < <(compgen -d -- "$word"; compgen -f -X '!*.vmx' -- "$word") ;;
        ps | verify | down) words=$(_ireko_labs) ;;
        snapshot | restore) _ireko_saved "$verb" ;;
        stop | start | console | exec | see) words=$(_ireko_paths) ;;
        vmx) _ireko_vmx "${COMP_WORDS[2]}" "${COMP_WORDS[3]}" "$word" ;;
        bench) [ "$COMP_CWORD" -eq 2 ] && words="disk" || words=$(_ireko_paths) ;;
        image) words="build list" ;;
        template)
            if [ "$COMP_CWORD" -eq 2 ]; then
                words="list remove warm cool"
            elif [ "${COMP_WORDS[2]}" = warm ]; then
                mapfile -t COMPREPLY < <(compgen -d -- "$word"; compgen -f -X '!*.yaml' -- "$word")
            elif [ "${COMP_WORDS[2]}" = cool ]; then
                words=$(_ireko_spares)
            elif [ "${COMP_WORDS[2]}" = remove ]; then
                words=$(_ireko_templates)
            fi
            ;;
        esac
    fi
    [ -z "$words" ] || mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}

complete -o filenames -F _ireko ireko
