/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A short, repeatable slice of what the program `oracle` does for as long as one likes: generated
 * instructions on the host CPU and on this project's executors. HC_TEST_FACTOR=n: n times as many.
 */
#include "tests/oracle/oracle.h"
#include "tests/unit.h"

#define CASES 6400

/* Instructions whose faults, flags or encodings are not like their neighbours'. */
#define PECULIAR                                                                                   \
	"maskmov,vmaskmov,vpmaskmov,vgather,movntq,movd,vcvtps2ph,vcvtph2ps,pcmpestr,vpcmpestr,"   \
	"fist,fld,fstp,fbstp,fnsave,subps,hsubps,vmulsd,vfmadd213sd,cvtsd2ss"

struct run {
	const struct oracle_executor *executor;
	enum x86_mode mode;
	bool vectors;
	const char *names; /* as for oracle_list() */
};

static struct oracle_case cases[ORACLE_BATCH];
static struct oracle_outcome judged[ORACLE_BATCH], executed[ORACLE_BATCH];
static enum oracle_result judge_results[ORACLE_BATCH], results[ORACLE_BATCH];

/* One comparison; whether there was something to compare. */
static bool judge(const struct oracle_executor *executor, unsigned i, unsigned *different)
{
	char text[4096], what[512];

	assert_int_not_equal(judge_results[i], ORACLE_LOST);
	assert_int_not_equal(results[i], ORACLE_LOST);
	if (results[i] == ORACLE_UNSUPPORTED)
		return false;
	if (!oracle_same(&cases[i], &oracle_native, executor, &judged[i], &executed[i], text,
	                 sizeof(text))) {
		oracle_describe(&cases[i], what, sizeof(what));
		print_error("%s\n%s", what, text);
		(*different)++;
	}
	return true;
}

static void test_against_host(void **state)
{
	const struct run *run = *state;
	unsigned different = 0, compared = 0, n = test_rounds(CASES);

	if (oracle_native.open() || run->executor->open())
		skip();
	assert_int_not_equal(oracle_list(run->names, run->vectors, run->mode), 0);
	for (unsigned i = 0; i < n && different < 10; i += ORACLE_BATCH) {
		for (unsigned k = 0; k < ORACLE_BATCH; k++)
			oracle_generate(&cases[k], 1, i + k, run->mode);
		oracle_native.run(cases, judged, judge_results, ORACLE_BATCH);
		run->executor->run(cases, executed, results, ORACLE_BATCH);
		for (unsigned k = 0; k < ORACLE_BATCH; k++)
			compared += judge(run->executor, k, &different);
	}
	run->executor->close();
	oracle_native.close();
	assert_int_equal(different, 0);
	assert_true(compared > n / 4);
}

int main(void)
{
	static struct run emulate_64 = { &oracle_emulate, X86_MODE_64, false, NULL };
	static struct run emulate_32 = { &oracle_emulate, X86_MODE_32, false, NULL };
	static struct run engine_64 = { &oracle_engine, X86_MODE_64, true, NULL };
	static struct run engine_32 = { &oracle_engine, X86_MODE_32, true, NULL };
	static struct run peculiar_64 = { &oracle_engine, X86_MODE_64, true, PECULIAR };
	static struct run peculiar_32 = { &oracle_engine, X86_MODE_32, true, PECULIAR };
	const struct CMUnitTest tests[] = {
		{ "x86_emulate, 64-bit mode", test_against_host, NULL, NULL, &emulate_64 },
		{ "x86_emulate, 32-bit mode", test_against_host, NULL, NULL, &emulate_32 },
		{ "the software CPU, 64-bit mode", test_against_host, NULL, NULL, &engine_64 },
		{ "the software CPU, 32-bit mode", test_against_host, NULL, NULL, &engine_32 },
		{ "peculiar instructions, 64-bit mode", test_against_host, NULL, NULL,
		  &peculiar_64 },
		{ "peculiar instructions, 32-bit mode", test_against_host, NULL, NULL,
		  &peculiar_32 },
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
