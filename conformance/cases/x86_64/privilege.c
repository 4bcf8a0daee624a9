/* SPDX-License-Identifier: BSD-2-Clause */
/* Instructions in ring 3: what is for the system alone, and what CR4 and IOPL allow. */
#include "guest/x86_64/feature.h"

struct user {
	const char *code;
	enum feature feature; /* F_LM: always there */
	uint64_t cr4, rflags;
	uint64_t vector; /* with error code 0; RETURN_VECTOR: none */
	bool first;      /* at the first instruction */
};

/* RDI points at a cell, RSI at 16 bytes of zeros. */
static void user_case(const struct test_case *self)
{
	const struct user *row = self->row;
	struct frame frame = { .rip = (uint64_t)row->code,
		               .cs = USER_CODE,
		               .ss = USER_DATA,
		               .rflags = FLAG_ONE | row->rflags,
		               .rsp = (uint64_t)user_stack_top,
		               .rdi = (uint64_t)user_data,
		               .rsi = (uint64_t)user_data + 64 };
	struct fault got;

	need(row->feature);
	write_cr4(read_cr4() | row->cr4);
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SCE);
	enter(&frame, USER_DATA);
	got = (struct fault){ .vector = frame.vector, .code = frame.code };
	check_fault(HERE, "in ring 3", got, row->vector,
	            row->vector == RETURN_VECTOR ? ANY_CODE : 0);
	if (row->first)
		CHECK_EQ(frame.rip, row->code);
}

#define USER_ROW(name, text, feature, cr4, rflags, vector, first, reference)                       \
	USER_CODE_TEXT(user_##name, 64, text);                                                     \
	static const struct user row_##name = {                                                    \
		user_##name, F_##feature, cr4, rflags, vector, first                               \
	};                                                                                         \
	TEST_ROW(name, user_case, &row_##name, reference)
#define USER(name, text, feature, cr4, rflags, vector, reference)                                  \
	USER_ROW(name, text, feature, cr4, rflags, vector, false, reference)
#define PRIVILEGED(name, text)                                                                     \
	USER_ROW(name, text, LM, 0, 0, GP, true,                                                   \
	         "SDM Vol. 3A 5.9: privileged instructions, #GP(0) if CPL is not 0")

PRIVILEGED(hlt, "hlt");
PRIVILEGED(clts, "clts");
PRIVILEGED(lgdt, "lgdt (%rsi)");
PRIVILEGED(lidt, "lidt (%rsi)");
PRIVILEGED(lldt, "lldt %si");
PRIVILEGED(ltr, "ltr %si");
PRIVILEGED(lmsw, "lmsw %si");
PRIVILEGED(invd, "invd");
PRIVILEGED(wbinvd, "wbinvd");
PRIVILEGED(invlpg, "invlpg (%rsi)");
PRIVILEGED(mov_from_cr0, "movq %cr0, %rax");
PRIVILEGED(mov_to_cr0, "movq %rsi, %cr0");
PRIVILEGED(mov_from_cr2, "movq %cr2, %rax");
PRIVILEGED(mov_to_cr3, "movq %rsi, %cr3");
PRIVILEGED(mov_from_cr3, "movq %cr3, %rax");
PRIVILEGED(mov_to_cr4, "movq %rsi, %cr4");
PRIVILEGED(mov_from_cr8, "movq %cr8, %rax");
PRIVILEGED(mov_from_dr7, "movq %dr7, %rax");
PRIVILEGED(mov_to_dr0, "movq %rsi, %dr0");
PRIVILEGED(swapgs, "swapgs");
PRIVILEGED(sysret, "sysretq");
USER(invpcid, "xorl %eax, %eax; invpcid (%rsi), %rax", INVPCID, 0, 0, GP, "SDM Vol. 2A INVPCID");

#undef PRIVILEGED
#define IOPL_3 FLAG_IOPL
USER(cli_iopl_0, "cli", LM, 0, 0, GP, "SDM Vol. 2A CLI: #GP(0) if CPL > IOPL");
USER(sti_iopl_0, "sti", LM, 0, 0, GP, "SDM Vol. 2B STI: #GP(0) if CPL > IOPL");
USER(cli_iopl_3, "cli", LM, 0, IOPL_3, RETURN_VECTOR, "SDM Vol. 2A CLI");
USER(sti_iopl_3, "sti; cli", LM, 0, IOPL_3, RETURN_VECTOR, "SDM Vol. 2B STI");
USER(cli_iopl_2, "cli", LM, 0, BIT(13), GP, "SDM Vol. 2A CLI: #GP(0) if CPL > IOPL");
USER(in_iopl_0, "inb $0x80, %al", LM, 0, 0, GP, "SDM Vol. 1 19.5.1");
USER(out_iopl_0, "outb %al, $0x80", LM, 0, 0, GP, "SDM Vol. 1 19.5.1");
USER(in_iopl_3, "inb $0x61, %al", LM, 0, IOPL_3, RETURN_VECTOR, "SDM Vol. 1 19.5.1");

USER(rdtsc, "rdtsc", LM, 0, 0, RETURN_VECTOR, "SDM Vol. 2B RDTSC");
USER(rdtsc_tsd, "rdtsc", LM, CR4_TSD, 0, GP,
     "SDM Vol. 2B RDTSC: #GP(0) if CR4.TSD is set and CPL is not 0");
USER(rdtscp_tsd, "rdtscp", RDTSCP, CR4_TSD, 0, GP, "SDM Vol. 2B RDTSCP: #GP(0) if CR4.TSD is set");
USER(rdpmc_without_pce, "xorl %ecx, %ecx; rdpmc", LM, 0, 0, GP,
     "SDM Vol. 2B RDPMC: #GP(0) if CR4.PCE is 0");

USER(sgdt, "sgdt (%rdi)", LM, 0, 0, RETURN_VECTOR, "SDM Vol. 2B SGDT");
USER(sidt, "sidt (%rdi)", LM, 0, 0, RETURN_VECTOR, "SDM Vol. 2B SIDT");
USER(sldt, "sldt %eax", LM, 0, 0, RETURN_VECTOR, "SDM Vol. 2B SLDT");
USER(str, "str %eax", LM, 0, 0, RETURN_VECTOR, "SDM Vol. 2B STR");
USER(smsw, "smsw %eax", LM, 0, 0, RETURN_VECTOR, "SDM Vol. 2B SMSW");
USER(sgdt_umip, "sgdt (%rdi)", UMIP, CR4_UMIP, 0, GP,
     "SDM Vol. 2B SGDT: #GP(0) if CR4.UMIP is set");
USER(sidt_umip, "sidt (%rdi)", UMIP, CR4_UMIP, 0, GP,
     "SDM Vol. 2B SIDT: #GP(0) if CR4.UMIP is set");
USER(sldt_umip, "sldt %eax", UMIP, CR4_UMIP, 0, GP, "SDM Vol. 2B SLDT: #GP(0) if CR4.UMIP is set");
USER(str_umip, "str %eax", UMIP, CR4_UMIP, 0, GP, "SDM Vol. 2B STR: #GP(0) if CR4.UMIP is set");
USER(smsw_umip, "smsw %eax", UMIP, CR4_UMIP, 0, GP, "SDM Vol. 2B SMSW: #GP(0) if CR4.UMIP is set");
USER(clac, "clac", SMAP, 0, 0, UD, "SDM Vol. 2A CLAC: #UD if CPL is not 0");
USER(stac, "stac", SMAP, 0, 0, UD, "SDM Vol. 2B STAC: #UD if CPL is not 0");
USER(cpuid, "xorl %eax, %eax; cpuid", LM, 0, 0, RETURN_VECTOR,
     "SDM Vol. 2A CPUID: at any privilege level");
USER(int3, "int3", LM, 0, 0, BP, "SDM Vol. 3A 6.12.1.2: a gate with DPL 3");
USER(rdfsbase, "rdfsbase %rax", FSGSBASE, CR4_FSGSBASE, 0, RETURN_VECTOR, "SDM Vol. 2B RDFSBASE");
