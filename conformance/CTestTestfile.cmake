# CMake generated Testfile for 
# Source directory: /work/wt/confboot/conformance
# Build directory: /work/wt/confboot/build/hosted-debug/conformance
# 
# This file includes the relevant testing commands required for 
# testing this directory and lists subdirectories to be tested as well.
