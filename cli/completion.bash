# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
# Completion of the hypercore command.

_hypercore_backends() {
	hypercore caps 2>/dev/null | sed -n 's/^backend \([^ ]*\) .*/\1/p' | sort -u
}

# _hypercore_value OPTION: what may follow it; fails for what is no option with a value.
_hypercore_value() {
	case $1 in
	-k | --kernel | -i | --initrd | --trace) mapfile -t COMPREPLY < <(compgen -f -- "$2") ;;
	-b | --backend)
		mapfile -t COMPREPLY < <(compgen -W "auto $(_hypercore_backends)" -- "$2")
		;;
	--device)
		mapfile -t COMPREPLY < <(compgen -W "isa-debug-exit,iobase=0xf4,iosize=4 testdev" -- "$2")
		;;
	--serial) mapfile -t COMPREPLY < <(compgen -W "stdio pty null file:" -- "$2") ;;
	-m | --memory) mapfile -t COMPREPLY < <(compgen -W "256M 512M 1G 2G 4G" -- "$2") ;;
	-c | --cpus) mapfile -t COMPREPLY < <(compgen -W "1 2 4 8" -- "$2") ;;
	-a | --append | --name | --switch-every | --dirty-stats | --tsc-hz) COMPREPLY=() ;;
	*) return 1 ;;
	esac
}

_hypercore_conform() {
	case $1 in
	--known | --output | --images) mapfile -t COMPREPLY < <(compgen -f -- "$2") ;;
	--only | --skip | --jobs) COMPREPLY=() ;;
	*)
		mapfile -t COMPREPLY < <(
			compgen -W "--targets --only --skip --jobs --output --known --images --all --help
				$(hypercore conform --targets 2>/dev/null | sed 's/ .*//')" -- "$2"
			compgen -f -X '!*.toml' -- "$2"
		)
		;;
	esac
}

_hypercore() {
	local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
	if [ "$COMP_CWORD" -eq 1 ]; then
		mapfile -t COMPREPLY < <(compgen -W "run caps conform --help --version" -- "$word")
	elif [ "${COMP_WORDS[1]}" = caps ]; then
		mapfile -t COMPREPLY < <(compgen -W "--help" -- "$word")
	elif [ "${COMP_WORDS[1]}" = conform ]; then
		_hypercore_conform "$before" "$word"
	elif ! _hypercore_value "$before" "$word"; then
		mapfile -t COMPREPLY < <(compgen -W "--kernel --initrd --append --memory --cpus
			--backend --switch-every --tsc-hz --serial --device --name --stats --dirty-stats --trace
			--quiet --help" -- "$word")
	fi
}

complete -o filenames -F _hypercore hypercore
