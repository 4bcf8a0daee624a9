/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A QEMU plugin that counts the instructions a machine executes, and how many of them a guest on a
 * hypervisor. With AMD-V: those between VMRUN and the instruction after it, where #VMEXIT goes on.
 * With EL2: those between an ERET at enter=FIRST-LAST and a block that begins at leave=FIRST-LAST,
 * which are addresses of the hypervisor's. For the others it says at which addresses they are.
 *
 * For machines whose CPUs take turns (-icount) or that have one. A block that an exception leaves
 * early is counted whole; the blocks around VMRUN are exact, since VMRUN ends a block.
 *
 * QEMU's own header is in no Debian 12 package, so what is used of its interface (QEMU's
 * docs/devel/tcg-plugins) is declared here. HC_PLUGIN_API is the interface's version: 1 for
 * QEMU 7.2.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct qemu_plugin_tb;
struct qemu_plugin_insn;
typedef uint64_t qemu_plugin_id_t;
typedef void qemu_plugin_exec(unsigned cpu, void *data);

enum qemu_plugin_cb_flags { QEMU_PLUGIN_CB_NO_REGS };

extern void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id,
                                                  void (*fn)(qemu_plugin_id_t,
                                                             struct qemu_plugin_tb *));
extern void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *tb, qemu_plugin_exec *fn,
                                                 enum qemu_plugin_cb_flags flags, void *data);
extern void qemu_plugin_register_atexit_cb(qemu_plugin_id_t id,
                                           void (*fn)(qemu_plugin_id_t, void *), void *data);
extern size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
extern uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *tb);
extern struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb,
                                                        size_t index);
extern size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *insn);
extern void *qemu_plugin_insn_haddr(const struct qemu_plugin_insn *insn);

__attribute__((visibility("default"))) int qemu_plugin_version = HC_PLUGIN_API;
__attribute__((visibility("default"))) int qemu_plugin_install(qemu_plugin_id_t id,
                                                               const void *info, int argc,
                                                               char **argv);

/* A translated block; kept to the end, for the same code may be translated again. */
struct block {
	struct block *next;
	uint64_t address, size; /* size in instructions */
	uint64_t outside;       /* times executed outside the guest */
};

#define MAX_CPUS 64

static struct block *blocks;
static struct {
	uint64_t total, guest, entries;
	uint64_t entered_at; /* total when VMRUN was executed */
	int in_guest;
} cpus[MAX_CPUS];
static const uint8_t *vmexit; /* where the instruction after VMRUN is in QEMU's memory */
static char output[1024];

/* AArch64: where the guest is entered, and where it is left to. */
struct span {
	uint64_t first, last;
};

static struct span enter, leave;

static int is_in(uint64_t address, struct span span)
{
	return span.last && address >= span.first && address <= span.last;
}

static void count(unsigned cpu, void *data)
{
	struct block *block = data;

	cpu %= MAX_CPUS;
	cpus[cpu].total += block->size;
	block->outside += !cpus[cpu].in_guest;
}

static void count_vmrun(unsigned cpu, void *data)
{
	count(cpu, data);
	cpu %= MAX_CPUS;
	cpus[cpu].entered_at = cpus[cpu].total;
	cpus[cpu].in_guest = 1;
	cpus[cpu].entries++;
}

static void count_vmexit(unsigned cpu, void *data)
{
	cpu %= MAX_CPUS;
	if (cpus[cpu].in_guest)
		cpus[cpu].guest += cpus[cpu].total - cpus[cpu].entered_at;
	cpus[cpu].in_guest = 0;
	count(cpu, data);
}

static struct block *new_block(const struct qemu_plugin_tb *tb)
{
	struct block *block = calloc(1, sizeof(*block));

	if (!block)
		abort();
	block->address = qemu_plugin_tb_vaddr(tb);
	block->size = qemu_plugin_tb_n_insns(tb);
	block->next = blocks;
	blocks = block;
	return block;
}

static const uint8_t *bytes(const struct qemu_plugin_tb *tb, size_t index)
{
	return qemu_plugin_insn_haddr(qemu_plugin_tb_get_insn(tb, index));
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
	static const uint8_t vmrun[3] = { 0x0f, 0x01, 0xd8 }, eret[4] = { 0xe0, 0x03, 0x9f, 0xd6 };
	size_t n = qemu_plugin_tb_n_insns(tb);
	const struct qemu_plugin_insn *last = qemu_plugin_tb_get_insn(tb, n - 1);
	const uint8_t *code = qemu_plugin_insn_haddr(last);
	qemu_plugin_exec *fn = count;
	uint64_t address = qemu_plugin_tb_vaddr(tb);

	if (is_in(address, leave))
		fn = count_vmexit;
	else if (code && is_in(address + 4 * (n - 1), enter) && memcmp(code, eret, 4) == 0)
		fn = count_vmrun;
	else if (code && qemu_plugin_insn_size(last) == 3 && memcmp(code, vmrun, 3) == 0) {
		fn = count_vmrun;
		vmexit = code + 3;
	} else if (vmexit && bytes(tb, 0) == vmexit) {
		fn = count_vmexit;
	}
	qemu_plugin_register_vcpu_tb_exec_cb(tb, fn, QEMU_PLUGIN_CB_NO_REGS, new_block(tb));
}

static void at_exit(qemu_plugin_id_t id, void *data)
{
	FILE *file = fopen(output, "w");
	uint64_t total = 0, guest = 0, entries = 0;

	if (!file)
		return;
	for (unsigned cpu = 0; cpu < MAX_CPUS; cpu++) {
		total += cpus[cpu].total;
		guest += cpus[cpu].guest;
		entries += cpus[cpu].entries;
	}
	fprintf(file, "{\"total\": %llu, \"guest\": %llu, \"entries\": %llu, \"outside\": [[0, 0]",
	        (unsigned long long)total, (unsigned long long)guest, (unsigned long long)entries);
	for (const struct block *block = blocks; block; block = block->next)
		if (block->outside)
			fprintf(file, ",\n[%llu, %llu]", (unsigned long long)block->address,
			        (unsigned long long)(block->outside * block->size));
	fprintf(file, "]}\n");
	fclose(file);
}

/* FIRST-LAST; 0 if it is something else. */
static int read_span(const char *text, struct span *span)
{
	char *end;

	span->first = strtoull(text, &end, 0);
	if (*end != '-')
		return 0;
	span->last = strtoull(end + 1, &end, 0);
	return !*end;
}

static int read_option(const char *text)
{
	if (strncmp(text, "enter=", 6) == 0)
		return read_span(text + 6, &enter);
	if (strncmp(text, "leave=", 6) == 0)
		return read_span(text + 6, &leave);
	if (strncmp(text, "output=", 7) != 0)
		return 0;
	snprintf(output, sizeof(output), "%s", text + 7);
	return 1;
}

int qemu_plugin_install(qemu_plugin_id_t id, const void *info, int argc, char **argv)
{
	for (int i = 0; i < argc; i++)
		if (!read_option(argv[i]))
			return -1;
	if (!output[0])
		return -1;
	qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
	qemu_plugin_register_atexit_cb(id, at_exit, NULL);
	return 0;
}
