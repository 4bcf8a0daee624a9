/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the files of the Unicorn module share.
 *
 * Unicorn 2.0 mixes up virtual and physical addresses when the guest's paging is on, does not
 * deliver exceptions, and does not tell of most system instructions. It is therefore used as what
 * it is good at, a machine that executes plain instructions in a flat address space:
 *
 *   - Its paging is off, and its memory is the guest's virtual one: pages are mapped when they are
 *     touched, where the core's walk of the guest's tables says, and unmapped when a real CPU would
 *     drop its translations (memory.c).
 *   - A hook sees each instruction before it is executed, and stops in front of those that belong
 * to the system (hook.c); they become exits, or are carried out here (insn.c, transfer.c).
 *   - Events are delivered here (transfer.c).
 *
 * Its faults must not be the process's: all calls into it are made under unicorn_guarded().
 */
#ifndef PLATFORM_LINUX_UNICORN_INTERNAL_H
#define PLATFORM_LINUX_UNICORN_INTERNAL_H

#include "platform/linux/unicorn/common.h"
#include "platform/linux/unicorn/module.h"

/* A piece of the guest's virtual memory that Unicorn has. */
struct unicorn_region {
	uint64_t gva, size;
	uint8_t *host;
	uint32_t perms; /* UC_PROT_... */
};

#define UNICORN_REGIONS 128

/* Why Unicorn came back. */
enum unicorn_stop {
	UNICORN_STOP_KICK,        /* hc_cpu.attention */
	UNICORN_STOP_WINDOW,      /* interrupts can be taken */
	UNICORN_STOP_INSTRUCTION, /* the next one is not Unicorn's */
	UNICORN_STOP_MEMORY,      /* memory it does not have: access, address, len */
	UNICORN_STOP_EXCEPTION,   /* vector */
	UNICORN_STOP_STATE,       /* it does not take the guest's state */
	UNICORN_STOP_ERROR        /* an error that has no hook: u.err */
};

struct unicorn_vcpu {
	struct unicorn_common u;

	/* The last stop. */
	enum unicorn_stop stop;
	unsigned access; /* enum hc_access */
	uint64_t address;
	unsigned vector;

	struct unicorn_region regions[UNICORN_REGIONS];
	unsigned region_count;
	struct unicorn_region wanted; /* the next one */
	uint32_t asked;               /* groups to fetch */
	unsigned slots;               /* of the VM's memory when they were made */

	/* The page of code that was executed last. */
	uint64_t code_page;
	const uint8_t *code;

	bool wants_window, wants_nmi_window, nmi_is_masked;
	bool has_shadow; /* of STI or a load of SS, on the instruction at shadow_rip */
	uint64_t shadow_rip;
	uint64_t passed_rip;  /* the hook lets the instruction there pass, */
	bool passes;          /* once */
	uint8_t loaded;       /* bit n: segment n may have been since its hidden part was fetched */
	uint32_t lost;        /* groups that Unicorn has to be given again */
	struct x86_event due; /* to be delivered at the next entry */
};

/* Of which unicorn_host is the first member. */
static inline const struct unicorn_x86_host *unicorn_x86_host(void)
{
	return (const void *)unicorn_host;
}

static inline struct unicorn_vcpu *unicorn_vcpu_of(struct hc_vcpu *vcpu)
{
	return vcpu->backend_data;
}

/* --- state.c: under the guard --- */

/* Brings groups of the neutral state to Unicorn; clears v->u.vcpu->dirty. */
void unicorn_store(struct unicorn_vcpu *v);

/* After an exception that Unicorn told of. */
void unicorn_forget_exception(struct unicorn_vcpu *v);

/* Not Unicorn's: to and from v. */
void unicorn_store_events(struct unicorn_vcpu *v);
void unicorn_fetch_events(struct unicorn_vcpu *v);

/* From Unicorn: the core group; SEG, DT and FPU. The others are always those of the neutral state.
 */
void unicorn_fetch_core(struct unicorn_vcpu *v);
void unicorn_fetch(struct unicorn_vcpu *v, uint32_t groups);

/* --- memory.c: all but the first under the guard --- */

/* What the guest's memory at gva comes to for access: 0: Unicorn shall have it, *region filled in;
 * else an exit is. */
bool unicorn_find_page(struct unicorn_vcpu *v, uint64_t gva, unsigned access,
                       struct unicorn_region *region, struct hc_exit *exit);
void unicorn_map(struct unicorn_vcpu *v, const struct unicorn_region *region);
void unicorn_unmap_all(struct unicorn_vcpu *v);
void unicorn_forget_code(struct unicorn_vcpu *v);
const struct unicorn_region *unicorn_region_at(const struct unicorn_vcpu *v, uint64_t gva);

/* The guest's memory at gva, as a supervisor's data. 0, -EFAULT with *fault, -ENOENT: not RAM. */
int unicorn_read(struct unicorn_vcpu *v, uint64_t gva, void *buf, unsigned len,
                 struct x86_fault *fault);
int unicorn_write(struct unicorn_vcpu *v, uint64_t gva, const void *buf, unsigned len,
                  struct x86_fault *fault);

/* --- hook.c: what struct unicorn_kind has --- */

void unicorn_on_code(uc_engine *uc, uint64_t rip, uint32_t size, void *opaque);
bool unicorn_on_memory(uc_engine *uc, uc_mem_type type, uint64_t address, int size, int64_t value,
                       void *opaque);
void unicorn_on_exception(uc_engine *uc, uint32_t vector, void *opaque);
bool unicorn_on_undefined(uc_engine *uc, void *opaque);

/* --- insn.c, transfer.c: the neutral state is the guest's --- */

/* Carries out the instruction at RIP, or makes an exit of it. */
enum unicorn_step unicorn_do_instruction(struct unicorn_vcpu *v, struct hc_exit *exit);

/* exit becomes an exception. Return UNICORN_EXITS. */
enum unicorn_step unicorn_raise(struct unicorn_vcpu *v, struct hc_exit *exit,
                                const struct x86_fault *fault);
enum unicorn_step unicorn_raise_vector(struct unicorn_vcpu *v, struct hc_exit *exit,
                                       enum x86_vector vector);

/* Ends an instruction that was carried out here: the trap of TF may be due. */
enum unicorn_step unicorn_finish(struct unicorn_vcpu *v, struct hc_exit *exit, uint64_t next);

/* IRETQ and far RET that stay in 64-bit code at CPL 0; LTR. */
enum unicorn_step unicorn_iret(struct unicorn_vcpu *v, struct hc_exit *exit,
                               const struct x86_insn *insn);
enum unicorn_step unicorn_far_ret(struct unicorn_vcpu *v, struct hc_exit *exit,
                                  const struct x86_insn *insn);
enum unicorn_step unicorn_ltr(struct unicorn_vcpu *v, struct hc_exit *exit, uint16_t selector,
                              uint64_t next);

/* A descriptor of the GDT as a segment. 0, -EFAULT: *fault (#GP(selector) or of the access). */
int unicorn_descriptor(struct unicorn_vcpu *v, uint16_t selector, struct x86_segment *segment,
                       struct x86_fault *fault);

/* Code that the guest may go on in: 64-bit, CPL 0. As above, or -EOPNOTSUPP, noted. */
int unicorn_code_segment(struct unicorn_vcpu *v, uint16_t selector, struct x86_segment *segment,
                         struct x86_fault *fault);

/* Delivers v->due, with RIP as the place to return to. */
enum unicorn_step unicorn_deliver(struct unicorn_vcpu *v, struct hc_exit *exit);

#endif
