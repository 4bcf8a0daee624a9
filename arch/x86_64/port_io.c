/* SPDX-License-Identifier: BSD-2-Clause */
/* IN, OUT, INS, OUTS (SDM Vol. 2A, 2B). */
#include <hypercore/errno.h>

#include "arch/x86_64/internal.h"
#include "core/bus_access.h"
#include "core/log.h"

/* Elements of a repeated INS or OUTS in one exit; the guest then executes the instruction again
 * with what is left in rCX, and interrupts come in between. */
#define MAX_BURST 128

/* A port where nothing answers is the bus's business. */
static __attribute__((noinline)) int out(struct hc_vcpu *vcpu, const struct hc_exit *exit)
{
	const struct hc_exit_io *io = &exit->u.io;

	(void)hc_bus_write(vcpu->vm, HC_SPACE_IO, io->port, io->width,
	                   x86_low_bytes(x86_state_of(vcpu)->gpr[X86_RAX], io->width));
	x86_skip(vcpu, exit->next_pc);
	return HC_ACT_RESUME;
}

static inline __attribute__((always_inline)) int in(struct hc_vcpu *vcpu,
                                                    const struct hc_exit *exit)
{
	const struct hc_exit_io *io = &exit->u.io;
	uint64_t value = hc_bus_read_raw(vcpu->vm, HC_SPACE_IO, io->port, io->width);
	uint64_t *rax = &x86_state_of(vcpu)->gpr[X86_RAX];

	*rax = x86_merge(*rax, value, io->width);
	x86_skip(vcpu, exit->next_pc);
	return HC_ACT_RESUME;
}

static uint64_t address_mask(const struct hc_exit_io *io)
{
	return io->addr_size == 8 ? UINT64_MAX : HC_BIT(io->addr_size * 8) - 1;
}

static int copy_element(struct hc_vcpu *vcpu, const struct hc_exit_io *io, uint64_t offset,
                        struct x86_fault *fault)
{
	uint64_t value = 0;
	gva_t gva;
	/* INS' segment is ES, whatever prefix there is. */
	int rc = x86_linear(vcpu, io->write ? (enum x86_seg)io->segment : X86_ES, offset, io->width,
	                    io->write ? HC_ACCESS_READ : HC_ACCESS_WRITE, &gva, fault);

	if (rc)
		return rc;
	if (io->write) {
		rc = x86_read_virt(vcpu, gva, &value, io->width, fault);
		if (!rc)
			(void)hc_bus_write(vcpu->vm, HC_SPACE_IO, io->port, io->width, value);
		return rc;
	}
	/* The port is read only once it is known that the value can be stored. */
	gpa_t gpa;

	rc = x86_translate(vcpu, gva, HC_ACCESS_WRITE, false, &gpa, fault);
	if (!rc && gva.v % HC_PAGE_SIZE + io->width > HC_PAGE_SIZE)
		rc = x86_translate(vcpu, gva_of(gva.v + io->width - 1), HC_ACCESS_WRITE, false,
		                   &gpa, fault);
	if (rc)
		return rc;
	(void)hc_bus_read(vcpu->vm, HC_SPACE_IO, io->port, io->width, &value);
	return x86_write_virt(vcpu, gva, &value, io->width, fault);
}

static __attribute__((noinline)) int string(struct hc_vcpu *vcpu, const struct hc_exit *exit)
{
	struct x86_state *s = x86_state_of(vcpu);
	const struct hc_exit_io *io = &exit->u.io;
	uint64_t mask = address_mask(io), step = io->width;
	uint64_t *index = &s->gpr[io->write ? X86_RSI : X86_RDI], *count = &s->gpr[X86_RCX];
	unsigned left = io->rep && !io->watched ? MAX_BURST : 1;
	struct x86_fault fault;

	if (s->rflags & X86_FLAG_DF)
		step = 0 - step;
	hc_vcpu_need(vcpu, X86_G_CR | X86_G_CS | X86_G_SEG);
	while (left-- && (!io->rep || *count & mask)) {
		int rc = copy_element(vcpu, io, *index & mask, &fault);

		if (rc == -EFAULT) {
			x86_raise(vcpu, &fault);
			return HC_ACT_RESUME;
		}
		if (rc)
			return hc_error(rc, "%s: page tables outside of RAM", vcpu->vm->name);
		*index = x86_merge(*index, *index + step, io->addr_size);
		if (io->rep)
			*count = x86_merge(*count, *count - 1, io->addr_size);
		hc_vcpu_dirty(vcpu, X86_G_CORE);
	}
	if (!io->rep || !(*count & mask))
		x86_skip(vcpu, exit->next_pc);
	return HC_ACT_RESUME;
}

/* --- I/O breakpoints (SDM Vol. 3B 17.2.4, 17.2.5), which an exit comes before --- */

/* The breakpoints that the ports are in: a bit each, as in DR6. */
static unsigned matching(const struct x86_state *s, uint16_t port, unsigned width)
{
	unsigned hits = 0;

	for (unsigned n = 0; n < 4; n++) {
		unsigned field = (unsigned)(s->dr7 >> (16 + 4 * n)) & 0xf, len = field >> 2;
		uint64_t size = len == 2 ? 8 : len + 1, first = s->dr[n] & ~(size - 1);

		if (s->dr7 >> 2 * n & 3 && (field & 3) == 2 && first < port + width &&
		    port < first + size)
			hits |= 1u << n;
	}
	return hits;
}

static __attribute__((noinline)) int watched(struct hc_vcpu *vcpu, struct hc_exit *exit)
{
	const struct x86_state *s = x86_state_of(vcpu);
	uint64_t rip = s->rip, count = s->gpr[X86_RCX];
	unsigned hits = 0;
	int act;

	hc_vcpu_need(vcpu, X86_G_CR | X86_G_DR);
	if (s->cr4 & X86_CR4_DE)
		hits = matching(s, exit->u.io.port, exit->u.io.width);
	exit->u.io.watched = hits != 0;
	if (exit->u.io.string)
		act = string(vcpu, exit);
	else
		act = exit->u.io.write ? out(vcpu, exit) : in(vcpu, exit);
	/* A fault came instead if nothing was done. */
	if (act == HC_ACT_RESUME && (s->rip != rip || s->gpr[X86_RCX] != count))
		x86_raise_breakpoints(vcpu, hits);
	return act;
}

int x86_exit_io(struct hc_vcpu *vcpu, struct hc_exit *exit)
{
	if (__builtin_expect(exit->u.io.rare, 0))
		return exit->u.io.watched ? watched(vcpu, exit) : string(vcpu, exit);
	return exit->u.io.write ? out(vcpu, exit) : in(vcpu, exit);
}
