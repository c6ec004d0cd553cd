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
    local lab
    for lab in "$(_ireko_state)"/*/; do
        [ -d "$lab" ] && basename "$lab"
    done
}

_ireko_options()
{
    case $1 in
    check) echo --json --need --root --cpuid --record --explain ;;
    up) echo --accel --fresh --dry-run --json ;;
    ps | verify) echo --json ;;
    down) echo --dry-run ;;
    run) echo --accel --detach --dry-run ;;
    image) echo --fresh --dry-run --json ;;
    esac
}

_ireko()
{
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} verb=${COMP_WORDS[1]}
    local words=
    if [ "$COMP_CWORD" -eq 1 ]; then
        words="check up ps verify down console exec run image --help --version"
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
    elif [[ $word == -* ]]; then
        words="$(_ireko_options "$verb") --help"
    else
        case $verb in
        up) mapfile -t COMPREPLY < <(compgen -d -- "$word"; compgen -f -X '!*.yaml' -- "$word") ;;
        run) mapfile -t COMPREPLY < <(compgen -d -- "$word"; compgen -f -X '!*.vmx' -- "$word") ;;
        ps | verify | down) words=$(_ireko_labs) ;;
        console | exec) words=$(_ireko_paths) ;;
        image) words="build list" ;;
        esac
    fi
    [ -z "$words" ] || mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}

complete -o filenames -F _ireko ireko
