# rustc 1.95.0 (59807616e 2026-04-14)
	movabsq	$140737488355328, %rcx
	addq	%rdi, %rcx
	movq	%rcx, %rax
	shrq	$48, %rax
	jne	.L1
	movq	%rdi, %rax
	shrq	$26, %rax
	shrq	$38, %rcx
	leaq	symbol1(%rip), %rdx
	andl	$4095, %eax
	movq	(%rdx,%rcx,8), %rcx
	movl	%eax, %edx
	shrl	$9, %edx
	btl	%edx, %ecx
	jae	.L1
	shrq	$12, %rdi
	andq	$-256, %rcx
	andl	$16383, %edi
	movq	(%rcx,%rax,8), %rax
	movl	%edi, %ecx
	shrl	$10, %ecx
	btl	%ecx, %eax
	jae	.L1
	andq	$-65536, %rax
	movl	(%rax,%rdi,4), %eax
	testl	%eax, %eax
	setne	%al
	retq
.L1:
	xorl	%eax, %eax
	retq
