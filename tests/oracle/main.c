/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * oracle: has an executor run generated cases and compares it with the host CPU, or with the judge
 * that the program has instead. Prints each disagreement with what it takes to have that case
 * again, and a table by instruction.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/oracle/oracle.h"

static const struct oracle_executor *const executors[] = { &oracle_engine, &oracle_emulate };

#define EXECUTOR_NAMES "engine, emulate"

struct options {
	const struct oracle_executor *executor;
	const char *op;
	uint64_t cases, seed, first, seconds;
	enum x86_mode mode;
	unsigned most; /* disagreements to print of one instruction */
	bool all_ops, integer, show;
};

static struct {
	uint64_t compared, faults, unsupported, lost, different;
} by_op[X86_OP_COUNT], total;

static const char usage[] =
	"Usage: oracle [OPTION...]\n"
	"Compares an executor of instructions with the host CPU (oracle) or with Unicorn\n"
	"(oracle-unicorn); exit status 1: they disagree.\n"
	"  --engine NAME  which (default: the first): " EXECUTOR_NAMES "\n"
	"  --cases N      how many cases (default 100000)\n"
	"  --seconds N    end after this time, however many\n"
	"  --seed N       of the random numbers (default 1)\n"
	"  --first N      number of the first case (default 0)\n"
	"  --op NAME,...  only instructions of these names in emu/x86_64/ops.h, or whose\n"
	"                 mnemonics begin so\n"
	"  --mode N       64 (default) or 32\n"
	"  --most N       print at most N disagreements of one instruction (default 2)\n"
	"  --show         print each case before it is run\n"
	"  --integer      no SIMD and x87\n"
	"  --table        print the table of all instructions, not only of those that differ\n";

static const struct oracle_executor *find_executor(const char *name)
{
	for (size_t i = 0; i < HC_ARRAY_SIZE(executors); i++)
		if (name && !strcmp(executors[i]->name, name))
			return executors[i];
	fprintf(stderr, "oracle: no such engine: %s (known: " EXECUTOR_NAMES ")\n",
	        name ? name : "");
	exit(2);
}

static void parse(struct options *o, int argc, char **argv)
{
	static const struct option known[] = {
		{ "engine", required_argument, NULL, 'e' },
		{ "cases", required_argument, NULL, 'n' },
		{ "seed", required_argument, NULL, 's' },
		{ "first", required_argument, NULL, 'f' },
		{ "op", required_argument, NULL, 'o' },
		{ "mode", required_argument, NULL, 'm' },
		{ "most", required_argument, NULL, 'p' },
		{ "seconds", required_argument, NULL, 't' },
		{ "show", no_argument, NULL, 'w' },
		{ "table", no_argument, NULL, 'a' },
		{ "integer", no_argument, NULL, 'i' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int letter;

	while ((letter = getopt_long(argc, argv, "", known, NULL)) != -1) {
		uint64_t n = optarg ? strtoull(optarg, NULL, 0) : 0;

		switch (letter) {
		case 'e': o->executor = find_executor(optarg); break;
		case 'n': o->cases = n; break;
		case 's': o->seed = n; break;
		case 'f': o->first = n; break;
		case 'o': o->op = optarg; break;
		case 'm': o->mode = n == 32 ? X86_MODE_32 : X86_MODE_64; break;
		case 'p': o->most = (unsigned)n; break;
		case 't':
			o->seconds = n;
			o->cases = UINT64_MAX;
			break;
		case 'w': o->show = true; break;
		case 'i': o->integer = true; break;
		case 'a': o->all_ops = true; break;
		case 'h': fputs(usage, stdout); exit(0);
		default: fputs(usage, stderr); exit(2);
		}
	}
}

/* The batches that are under way. */
static struct oracle_case cases[ORACLE_BATCH];
static struct oracle_outcome judged[ORACLE_BATCH], executed[ORACLE_BATCH];
static enum oracle_result judge_results[ORACLE_BATCH], results[ORACLE_BATCH];

static void judge(const struct options *o, unsigned i, uint64_t index)
{
	unsigned op = cases[i].insn.op;
	char difference[4096], what[512];

	if (judge_results[i] == ORACLE_UNSUPPORTED || results[i] == ORACLE_UNSUPPORTED) {
		by_op[op].unsupported++;
		return;
	}
	if (judge_results[i] == ORACLE_LOST || results[i] == ORACLE_LOST) {
		oracle_describe(&cases[i], what, sizeof(what));
		printf("case %lu did not come back: %s\n", index, what);
		by_op[op].lost++;
		return;
	}
	by_op[op].compared++;
	by_op[op].faults += judged[i].vector != ORACLE_COMPLETED;
	if (oracle_same(&cases[i], oracle_judge, o->executor, &judged[i], &executed[i], difference,
	                sizeof(difference)))
		return;
	if (by_op[op].different++ >= o->most)
		return;
	oracle_describe(&cases[i], what, sizeof(what));
	printf("case %lu: %s\n%s", index, what, difference);
}

static void show(const struct oracle_case *c, uint64_t index)
{
	char what[512];

	oracle_describe(c, what, sizeof(what));
	printf("case %lu: %s\n", index, what);
	for (unsigned i = 0; i < X86_GPR_COUNT; i++)
		printf("  %2u %016lx%s", i, c->state.gpr[i], i % 4 == 3 ? "\n" : "");
	printf("  rip %lx rflags %lx\n", c->state.rip, c->state.rflags);
}

static void run_batch(const struct options *o, uint64_t first, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		oracle_generate(&cases[i], o->seed, first + i, o->mode);
	for (unsigned i = 0; i < n && o->show; i++)
		show(&cases[i], first + i);
	oracle_judge->run(cases, judged, judge_results, n);
	o->executor->run(cases, executed, results, n);
	for (unsigned i = 0; i < n; i++)
		judge(o, i, first + i);
}

static void print_table(const struct options *o)
{
	printf("%-12s %10s %10s %10s %10s\n", "", "compared", "faults", "not there", "different");
	for (unsigned i = 0; i < X86_OP_COUNT; i++) {
		total.compared += by_op[i].compared;
		total.faults += by_op[i].faults;
		total.unsupported += by_op[i].unsupported;
		total.different += by_op[i].different;
		total.lost += by_op[i].lost;
		if (!by_op[i].different &&
		    !(o->all_ops && by_op[i].compared + by_op[i].unsupported))
			continue;
		printf("%-12s %10lu %10lu %10lu %10lu\n",
		       i == X86_OP_UNDEFINED ? "(undefined)" : x86_op_name(i), by_op[i].compared,
		       by_op[i].faults, by_op[i].unsupported, by_op[i].different);
	}
	printf("%-12s %10lu %10lu %10lu %10lu, %lu lost\n", "all", total.compared, total.faults,
	       total.unsupported, total.different, total.lost);
}

int main(int argc, char **argv)
{
	struct options o = { executors[0], NULL, 100000, 1,     0,    0,
		             X86_MODE_64,  2,    false,  false, false };
	time_t start = time(NULL);
	int r;

	setvbuf(stdout, NULL, _IOLBF, 0);
	parse(&o, argc, argv);
	r = oracle_judge->open();
	if (!r)
		r = o.executor->open();
	if (r) {
		printf("oracle: skipped: this machine cannot run it: %s\n", strerror(-r));
		return 77;
	}
	if (!oracle_list(o.op, o.executor->has_vectors && !o.integer, o.mode)) {
		fprintf(stderr, "oracle: no such instruction: %s\n", o.op);
		return 2;
	}
	for (uint64_t i = 0; i < o.cases; i += ORACLE_BATCH) {
		uint64_t n = hc_min(o.cases - i, (uint64_t)ORACLE_BATCH);

		run_batch(&o, o.first + i, (unsigned)n);
		if (o.seconds && (uint64_t)(time(NULL) - start) >= o.seconds)
			break;
	}
	print_table(&o);
	o.executor->close();
	oracle_judge->close();
	return total.different || total.lost ? 1 : 0;
}
