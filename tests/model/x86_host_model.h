/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the models of CPUs with AMD-V and with VT-x have in common: scripts for the guest and what
 * it saw, complaints, and of arch/x86_64/host/cpu.h the FPU, DR0 to DR3 and machine checks.
 */
#ifndef TESTS_MODEL_X86_HOST_MODEL_H
#define TESTS_MODEL_X86_HOST_MODEL_H

#include <hypercore/x86_state.h>

#include "arch/x86_64/host/cpu.h"

#define MODEL_CPUS 4

struct model_features; /* each model's own */

/* Each model's: the least that the backend runs on, or little more, and all that it has a use for.
 */
extern const struct model_features rig_plain, rig_full;

/* A part of each model's CPU. */
struct model_x86 {
	bool xsave, avx512, xsaves; /* what it has */
	uint64_t xcr0, dr[4];
	uint8_t fpu[X86_XSAVE_SIZE];
	unsigned machine_checks;
};

/* Each model's: the calling CPU's. */
struct model_x86 *model_x86(void);

void model_x86_reset(struct model_x86 *x86, bool xsave, bool avx512, bool xsaves);

/* CPUID leaf 0Dh. */
void model_cpuid_xsave(uint32_t component, uint32_t out[4]);

/* All CPUs as after reset. Each model's, as are those that follow. */
void model_reset(const struct model_features *features);

/* Which CPU the calling thread is. */
void model_be(unsigned cpu);

enum model_op {
	OP_END = 0,      /* a host interrupt ends the guest; stays there */
	OP_EXIT,         /* the instruction at RIP exits */
	OP_HLT,          /* HLT, one byte: exits */
	OP_TRIPLE_FAULT, /* exits */
	OP_INTERRUPT,    /* a host interrupt, before a window that is open is noticed */
	OP_NOT_PRESENT,  /* the gate of the virtual interrupt that comes is not present: #NP */
	OP_FIRST,        /* an exit before that, or in the middle of an event's delivery */
	OP_INSN,         /* an instruction of len bytes */
	OP_STI,          /* STI, one byte */
	OP_MOV_SS,       /* VT-x: MOV SS, two bytes */
	OP_RDTSC,        /* RDTSC, two bytes: see model_tsc */
	OP_IRET,         /* IRET, two bytes: back to what the last delivered event interrupted */
	OP_WRITE,        /* VT-x: a store to guest physical memory, at `physical`, of no length; an
	                  * exit comes before it, and it is made again */
	OP_CALL,         /* fn(gpr): the guest does something to itself; takes no time
	                  * but what fn lets pass */
};

/* What OP_EXIT and OP_FIRST leave: fields of these names. In OP_FIRST intinfo or idt_info is the
 * event that was being delivered. */
struct model_step {
	enum model_op op;
	uint8_t len; /* of the instruction; VT-x leaves it in EXIT_INSTRUCTION_LENGTH */
	void (*fn)(uint64_t *gpr);
	/* AMD-V: EXITCODE, EXITINFO1, EXITINFO2, EXITINTINFO. */
	uint64_t code, info1, info2, intinfo;
	/* VT-x. A field that the exit does not define holds what no program should look at. */
	uint32_t reason;
	uint64_t qualification;
	uint32_t insn_info;
	uint32_t intr_info, intr_error; /* EXIT_INTERRUPTION_INFO and its error code */
	uint32_t idt_info, idt_error;   /* IDT_VECTORING_INFO and its error code */
	uint64_t linear, physical;      /* GUEST_LINEAR_ADDRESS, GUEST_PHYSICAL_ADDRESS */
};

/* What the guest does from the next entry on; ends with OP_END. NULL: guest code is interpreted
 * (only what the self-test of the backend uses). */
void model_script(const struct model_step *steps);

/* What the last OP_RDTSC gave the guest. */
extern uint64_t model_tsc;

/* Tables of stage 2 changed: translations made before are stale. */
void model_stage2_changed(void);

/* Flushes of the calling CPU's TLB since model_reset(). */
unsigned model_flushes(void);

/* An event that the guest saw. */
struct model_delivery {
	uint8_t type, vector; /* type: enum x86_event_type, as both have it */
	bool has_error_code;
	uint32_t error_code;
	uint64_t rip; /* that it interrupted; of software events on VT-x, after the instruction */
};

#define MODEL_DELIVERIES      32
#define MODEL_HANDLER(vector) (0x400000u + (vector)*0x1000u)

/* Events delivered since model_reset() or model_clear_deliveries(). */
extern struct model_delivery model_deliveries[MODEL_DELIVERIES];
extern unsigned model_delivered;
void model_clear_deliveries(void);

/* For the interpreters: the host page that tables of stage 2 map at guest physical 0, or NULL. */
uint8_t *model_first_page(uint64_t root);
/* One instruction, at p, of the self-test's program, size being that of operands and addresses. Its
 * length, or 0: it is another one. */
int model_interpret_one(uint8_t *page, const uint8_t *p, uint64_t *gpr, unsigned size);

/* How many complaints, and the first. */
extern unsigned model_complaints;
extern char model_complaint[160];
void model_complain(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void model_reset_complaints(void);

#endif
