# rustc 1.95.0 (59807616e 2026-04-14)
	31 c0                        	xor %eax,%eax
	c3                           	ret
