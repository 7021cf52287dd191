#!/usr/bin/env bash
# A run of nsmc-tui under Slurm, on one node or several, with the file system shared. See scale.md beside this file.
#
#   sbatch docs/slurm.sh CONFIG.toml [further options of `nsmc-tui train`]
#   RUN=<id> sbatch docs/slurm.sh                     goes on with a run from its last whole checkpoint
#
# A job that Slurm requeues (a node that failed, preemption) goes on with the run that it began.
# Adapt the numbers. One process a GPU: SLURM_GPUS_ON_NODE counts them, PROCESSES overrides it.
#SBATCH --job-name=nsmc
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=16
#SBATCH --time=08:00:00
#SBATCH --output=slurm-%j.out
# Five minutes before the time is over this shell is told: the run stops, saves and scores.
#SBATCH --signal=B:TERM@300

set -euo pipefail

# source .venv/bin/activate
# export NCCL_SOCKET_IFNAME=ib0 GLOO_SOCKET_IFNAME=ib0      # the network between the nodes, if it is not found

runs=${NSMC_TUI_RUNS:-$PWD/runs}
nodes=${SLURM_NNODES:-1}
processes=${PROCESSES:-${SLURM_GPUS_ON_NODE:-1}}
# Which run this job began, for the case that it is requeued.
record=slurm-${SLURM_JOB_ID:-0}.run
if [[ -z ${RUN:-} && ${SLURM_RESTART_COUNT:-0} -gt 0 && -s $record ]]; then RUN=$(< "$record"); fi
settings=()
if ((nodes > 1)); then
    # Any free port of this node, the first one; the job's number keeps jobs apart.
    settings+=(--set "launch.rdzv_endpoint=$(hostname):$((20000 + ${SLURM_JOB_ID:-0} % 20000))")
fi

# This node is the head: its supervisor starts here and lives in the batch step, as long as this script does.
if [[ -n ${RUN:-} ]]; then
    # Where it ran before may be gone without a word; whoever is still writing there is noticed.
    run=$(nsmc-tui --runs "$runs" resume "$RUN" ${settings[@]+"${settings[@]}"} --lost --detach)
else
    settings+=(--set "launch.nodes=$nodes" --set "launch.processes=$processes")
    run=$(nsmc-tui --runs "$runs" train "$@" "${settings[@]}" --detach)
fi
echo "$run" > "$record"
directory=$runs/$run
number() { sed -n "s/.*\"$1\": *\([0-9][0-9]*\).*/\1/p" "$directory/status.json" | head -n 1; }
state() { sed -n 's/.*"state": *"\([a-z]*\)".*/\1/p' "$directory/status.json" | head -n 1; }
orders() { if [[ -f $directory/control.jsonl ]]; then wc -c < "$directory/control.jsonl"; else echo 0; fi; }
alive() { [[ $(ps -o stat= -p "$pid" 2> /dev/null || echo Z) != Z* ]]; }
pid=$(number pid)
orders_before=$(orders)
echo "run $run in $directory, head $(hostname) ($pid), $nodes nodes of $processes processes"

# scancel tells every process of the job, also the head: it must not be told twice, because that is an abort.
# shellcheck disable=SC2317  # called by the trap
stop() {
    sleep 3
    case $(state) in stopping | finished | stopped | failed) return 0 ;; esac
    if [[ $(orders) == "$orders_before" ]]; then kill -TERM "$pid" 2> /dev/null || true; fi
}
trap stop TERM INT

if ((nodes > 1)); then
    srun --nodes=$((nodes - 1)) --ntasks=$((nodes - 1)) --ntasks-per-node=1 --exclude="${SLURMD_NODENAME:-$(hostname -s)}" \
        --cpus-per-task="${SLURM_CPUS_PER_TASK:-1}" nsmc-tui --runs "$runs" join "$run" --timeout 300 &
fi
nsmc-tui --runs "$runs" watch "$run" &

# A signal ends `wait`, and the shell then runs the trap: so it waits in small pieces until the head is gone.
while alive; do
    sleep 5 &
    wait $! || true
done
wait || true

nsmc-tui --runs "$runs" show "$run"
case $(state) in finished | stopped) exit 0 ;; *) exit 1 ;; esac
