# rustc 1.95.0 (59807616e 2026-04-14)
	48 b9 00 00 00 00 00 80 00 00	movabs $0x800000000000,%rcx
	48 01 f9                     	add %rdi,%rcx
	48 89 c8                     	mov %rcx,%rax
	48 c1 e8 30                  	shr $0x30,%rax
	75 57                        	jne .L1
	48 89 f8                     	mov %rdi,%rax
	48 c1 e8 1a                  	shr $0x1A,%rax
	48 c1 e9 26                  	shr $0x26,%rcx
	48 8d 15 00 00 00 00         	lea symbol1(%rip),%rdx
	25 ff 0f 00 00               	and $0xFFF,%eax
	48 8b 8c ca 00 02 00 00      	mov 0x200(%rdx,%rcx,8),%rcx
	89 c2                        	mov %eax,%edx
	c1 ea 09                     	shr $9,%edx
	0f a3 d1                     	bt %edx,%ecx
	73 2e                        	jae .L1
	48 c1 ef 0c                  	shr $0xC,%rdi
	48 81 e1 00 ff ff ff         	and $0xFFFFFFFFFFFFFF00,%rcx
	81 e7 ff 3f 00 00            	and $0x3FFF,%edi
	48 8b 04 c1                  	mov (%rcx,%rax,8),%rax
	89 f9                        	mov %edi,%ecx
	c1 e9 0a                     	shr $0xA,%ecx
	0f a3 c8                     	bt %ecx,%eax
	73 0f                        	jae .L1
	48 25 00 00 ff ff            	and $0xFFFFFFFFFFFF0000,%rax
	8b 04 b8                     	mov (%rax,%rdi,4),%eax
	85 c0                        	test %eax,%eax
	0f 95 c0                     	setne %al
	c3                           	ret
.L1:
	31 c0                        	xor %eax,%eax
	c3                           	ret
