mod deployment;
