/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The system part of the software CPU without the rest of it: one instruction at a time is fetched
 * from a flat memory, decoded, and its function called. Linear addresses are physical ones; pages
 * can be absent, read-only, the supervisor's alone, or a device's.
 */
#ifndef TESTS_EMU_SYS_RIG_H
#define TESTS_EMU_SYS_RIG_H

#include "emu/x86_64/engine/system.h"

#define RIG_MEMORY (UINT64_C(1) << 17)
#define RIG_PAGES  (RIG_MEMORY / HC_PAGE_SIZE)

enum rig_page { /* what pages forbid */
	        RIG_ABSENT = 1 << 0,
	        RIG_READ_ONLY = 1 << 1,
	        RIG_SUPERVISOR = 1 << 2,
	        RIG_DEVICE = 1 << 3 /* accesses are exits */
};

enum rig_result {
	RIG_OK,
	RIG_FAULT,  /* rig.cpu.fault; the state is as before */
	RIG_EXIT,   /* rig.exit */
	RIG_NO_INSN /* not a system instruction, or undefined bytes */
};

struct rig {
	struct x86_state state;
	struct hc_exit exit;
	uint8_t page[RIG_PAGES];
	struct x86_insn insn;
	unsigned flush_all, flush_context, flush_page, load_cr3;
	uint64_t flushed; /* argument of the last of the last two */
	bool kept;
	unsigned writes; /* stores to memory */
	bool left;       /* by emu_leave() */
	/* rig_reset() clears what was written: rig_bytes() tells. */
	bool written[RIG_PAGES];
	uint8_t memory[RIG_MEMORY];
};

extern struct rig rig;
extern struct emu_cpu rig_cpu;

/* Everything zero but what no CPU has zero: real mode. */
void rig_reset(void);
/* Flat protected mode of the level, code and stack of `bits` (16, 32, 64), no tables. */
void rig_flat(unsigned bits, unsigned cpl);

/* Memory to write n bytes to. */
uint8_t *rig_bytes(uint64_t address, uint64_t n);

void rig_put(uint64_t address, uint64_t v, unsigned size);
uint64_t rig_get(uint64_t address, unsigned size);
/* An 8-byte descriptor; limit is in bytes or, with X86_ATTR_G, in pages less one. */
void rig_descriptor(uint64_t address, uint32_t base, uint32_t limit, unsigned attr);

/* Executes the instruction at CS:RIP, or these bytes there. A fault is not delivered. */
enum rig_result rig_step(void);
enum rig_result rig_do(const void *bytes, unsigned n);
/* Delivers rig_cpu.fault; false: rig.exit. */
bool rig_deliver(void);

#endif
