/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/devices_pit_model.h"

static void set_out(struct pit_model *m, bool level)
{
	m->rises += level && !m->out;
	m->out = level;
}

void pit_model_control(struct pit_model *m, unsigned mode, bool bcd)
{
	m->mode = mode;
	m->bcd = bcd;
	m->load = m->counting = m->armed = m->strobe = false;
	m->null_count = true;
	set_out(m, mode != 0);
}

void pit_model_first_byte(struct pit_model *m)
{
	if (m->mode == 0) {
		m->counting = m->load = false;
		set_out(m, false);
	}
}

void pit_model_count(struct pit_model *m, uint32_t n)
{
	bool initial = !m->counting && !m->load;

	m->cr = n;
	m->null_count = true;
	switch (m->mode) {
	case 0:
		set_out(m, false);
		m->load = true;
		break;
	case 4: m->load = true; break;
	case 2:
	case 3:
		if (initial)
			m->load = true;
		break;
	default: break; /* modes 1 and 5 wait for GATE */
	}
}

void pit_model_gate(struct pit_model *m, bool level)
{
	bool rising = level && !m->gate;

	m->gate = level;
	switch (m->mode) {
	case 1:
	case 5: m->load = m->load || (rising && m->cr); break;
	case 2:
	case 3:
		if (!level)
			set_out(m, true);
		m->load = m->load || (rising && m->counting);
		break;
	default: break;
	}
}

static void take_count(struct pit_model *m)
{
	m->load = false;
	m->counting = true;
	m->null_count = false;
	m->armed = true;
	m->odd = m->cr & 1;
	m->ce = m->mode == 3 ? m->cr & ~1u : m->cr;
	if (m->mode == 1)
		set_out(m, false);
	if (m->mode == 2 || m->mode == 3)
		set_out(m, true);
}

static void decrement(struct pit_model *m)
{
	uint32_t modulus = m->bcd ? 10000 : 65536;

	m->ce = m->ce ? m->ce - 1 : modulus - 1;
}

/* An odd count stays high for one CLK more after it expired. */
static void square_wave_clock(struct pit_model *m)
{
	bool expired;

	if (m->ce)
		m->ce -= 2;
	else
		m->odd = false;
	expired = !m->ce && !(m->odd && m->out);
	if (expired) {
		bool level = !m->out;

		m->odd = m->cr & 1;
		m->ce = m->cr & ~1u;
		m->null_count = false;
		set_out(m, level);
	}
}

static void rate_clock(struct pit_model *m)
{
	if (m->ce == 1) {
		m->ce = m->cr;
		m->null_count = false;
		set_out(m, true);
		return;
	}
	m->ce--;
	if (m->ce == 1)
		set_out(m, false);
}

static void one_shot_clock(struct pit_model *m)
{
	decrement(m);
	if (m->ce || !m->armed)
		return;
	m->armed = false;
	if (m->mode < 2) {
		set_out(m, true);
	} else {
		m->strobe = true;
		set_out(m, false);
	}
}

void pit_model_clock(struct pit_model *m)
{
	bool gated = m->mode != 1 && m->mode != 5;

	if (m->strobe) {
		m->strobe = false;
		set_out(m, true);
	}
	if (m->load) {
		take_count(m);
		return;
	}
	if (!m->counting || (gated && !m->gate))
		return;
	if (m->mode == 2)
		rate_clock(m);
	else if (m->mode == 3)
		square_wave_clock(m);
	else
		one_shot_clock(m);
}
