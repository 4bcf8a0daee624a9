/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What Unicorn tells while it executes. The hooks only take notes and stop it: everything else
 * happens when uc_emu_start() has returned. RIP and the registers are then those before the
 * instruction, since a hook on every instruction makes Unicorn keep them up to date.
 */
#include "core/sched.h"
#include "platform/linux/unicorn/internal.h"

static void stop(struct unicorn_vcpu *v, enum unicorn_stop why)
{
	v->stop = why;
	(void)uc_emu_stop(v->u.uc);
}

/* --- Instructions --- */

/* What becomes of an opcode in 64-bit mode. */
enum fate {
	NATIVE, /* Unicorn's */
	PREFIX,
	ESCAPE, /* 0F */
	OURS,   /* stop: insn.c's */
	BY_REG, /* far calls and jumps of FF: ours */
	LOAD,   /* loads a segment: to be noted */
	SHADOW, /* the next instruction is in its shadow */
};

/* Opcodes that are not in a table are native. SDM Vol. 2D. */
static const uint8_t one_byte[256] = {
	[0x0f] = ESCAPE,
	[0x26] = PREFIX,
	[0x2e] = PREFIX,
	[0x36] = PREFIX,
	[0x3e] = PREFIX,
	[0x40 ... 0x4f] = PREFIX,
	[0x64 ... 0x67] = PREFIX,
	[0x6c ... 0x6f] = OURS, /* INS, OUTS */
	[0x8e] = LOAD,          /* MOV Sreg */
	[0xca] = OURS,
	[0xcb] = OURS, /* far RET */
	[0xcc] = OURS,
	[0xcd] = OURS,
	[0xcf] = OURS, /* INT3, INT, IRET */
	[0xe4 ... 0xe7] = OURS,
	[0xec ... 0xef] = OURS, /* IN, OUT */
	[0xf0] = PREFIX,
	[0xf1] = OURS,
	[0xf2] = PREFIX,
	[0xf3] = PREFIX,
	[0xf4] = OURS,   /* HLT */
	[0xfb] = SHADOW, /* STI */
	[0xff] = BY_REG,
};

static const uint8_t two_byte[256] = {
	[0x00] = OURS,          [0x01] = OURS, /* groups 6 and 7 */
	[0x05 ... 0x09] = OURS,                /* SYSCALL, CLTS, SYSRET, INVD, WBINVD */
	[0x20 ... 0x23] = OURS,                /* MOV CR, DR */
	[0x30 ... 0x35] = OURS,                /* MSRs, RDTSC, RDPMC, SYSENTER, SYSEXIT */
	[0xa1] = LOAD,          [0xa2] = OURS, /* POP FS; CPUID */
	[0xa9] = LOAD,          [0xb2] = LOAD, /* POP GS; LSS */
	[0xb4] = LOAD,          [0xb5] = LOAD, /* LFS, LGS */
};

/* The code at rip, up to the end of its page. */
static const uint8_t *code_at(struct unicorn_vcpu *v, uint64_t rip)
{
	uint64_t page = HC_ALIGN_DOWN(rip, HC_PAGE_SIZE);

	if (!v->code || v->code_page != page) {
		const struct unicorn_region *r = unicorn_region_at(v, page);

		v->code_page = page;
		v->code = r ? r->host + (page - r->gva) : NULL;
	}
	return v->code ? v->code + rip % HC_PAGE_SIZE : NULL;
}

/* An instruction that goes on in the next page before its opcode is known is looked at in full. */
static enum fate classify(const uint8_t *p, uint64_t n)
{
	uint64_t i = 0;
	enum fate fate = OURS;

	while (i < n && (fate = one_byte[p[i]]) == PREFIX)
		i++;
	if (i + 1 < n && fate == ESCAPE)
		return two_byte[p[i + 1]];
	if (i + 1 < n && fate == BY_REG)
		return (p[i + 1] >> 3 & 7) == 3 || (p[i + 1] >> 3 & 7) == 5 ? OURS : NATIVE;
	if (i >= n || fate == ESCAPE || fate == BY_REG)
		return OURS;
	return fate;
}

/* STI has a shadow only if IF was clear (SDM Vol. 2B STI); loads of SS always. The next instruction
 * is the one after, as neither jumps. */
static void note(struct unicorn_vcpu *v, uint64_t rip, uint32_t size, enum fate fate)
{
	uint64_t flags = 0;

	if (fate == LOAD)
		v->loaded =
			1u << X86_ES | 1u << X86_SS | 1u << X86_DS | 1u << X86_FS | 1u << X86_GS;
	else
		(void)uc_reg_read(v->u.uc, UC_X86_REG_RFLAGS, &flags);
	v->has_shadow = !(flags & X86_FLAG_IF);
	v->shadow_rip = rip + size;
}

static bool window_is_open(struct unicorn_vcpu *v, uint64_t rip)
{
	uint64_t flags = 0;

	(void)uc_reg_read(v->u.uc, UC_X86_REG_RFLAGS, &flags);
	return flags & X86_FLAG_IF && !(v->has_shadow && v->shadow_rip == rip);
}

void unicorn_on_code(uc_engine *uc, uint64_t rip, uint32_t size, void *opaque)
{
	struct unicorn_vcpu *v = opaque;
	const uint8_t *p = code_at(v, rip);

	if (v->passes && v->passed_rip == rip) {
		v->passes = false;
		return;
	}
	if (atomic_load_explicit(&v->u.vcpu->cpu->attention, memory_order_relaxed)) {
		stop(v, UNICORN_STOP_KICK);
		return;
	}
	if (v->wants_window && window_is_open(v, rip)) {
		stop(v, UNICORN_STOP_WINDOW);
		return;
	}
	enum fate fate = p ? classify(p, HC_PAGE_SIZE - rip % HC_PAGE_SIZE) : OURS;

	if (fate == OURS) {
		stop(v, UNICORN_STOP_INSTRUCTION);
		return;
	}
	if (v->has_shadow && v->shadow_rip == rip)
		v->has_shadow = false;
	if (fate != NATIVE)
		note(v, rip, size, fate);
}

/* --- Memory and exceptions --- */

bool unicorn_on_memory(uc_engine *uc, uc_mem_type type, uint64_t address, int size, int64_t value,
                       void *opaque)
{
	struct unicorn_vcpu *v = opaque;

	v->stop = UNICORN_STOP_MEMORY;
	v->address = address;
	v->access = unicorn_access_of(type);
	return false;
}

void unicorn_on_exception(uc_engine *uc, uint32_t vector, void *opaque)
{
	struct unicorn_vcpu *v = opaque;

	v->vector = vector;
	stop(v, UNICORN_STOP_EXCEPTION);
}

bool unicorn_on_undefined(uc_engine *uc, void *opaque)
{
	struct unicorn_vcpu *v = opaque;

	v->vector = X86_VEC_UD;
	v->stop = UNICORN_STOP_EXCEPTION;
	return false;
}
