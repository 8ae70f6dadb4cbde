# rustc 1.95.0 (59807616e 2026-04-14)
	movabsq	$140737488355328, %rcx
	addq	%rdi, %rcx
	movq	%rcx, %rax
	shrq	$48, %rax
	jne	.L1
	movq	%rdi, %rax
	shrq	$26, %rax
	andl	$4095, %eax
	shrq	$38, %rcx
	leaq	symbol1(%rip), %rdx
	movq	(%rdx,%rcx,8), %rcx
	movl	%eax, %edx
	shrl	$9, %edx
	btl	%edx, %ecx
	jae	.L1
	andq	$-256, %rcx
	je	.L1
	shrl	$12, %edi
	andl	$16383, %edi
	movq	(%rcx,%rax,8), %rcx
	movl	%edi, %edx
	shrl	$10, %edx
	xorl	%eax, %eax
	btl	%edx, %ecx
	jae	.L2
	andq	$-65536, %rcx
	je	.L2
	movl	(%rcx,%rdi,4), %eax
	testl	%eax, %eax
	setne	%al
	retq
.L1:
	xorl	%eax, %eax
.L2:
	retq
