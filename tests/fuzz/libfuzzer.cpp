// Empty: libFuzzer has the main function, and CMake wants a source of every program.
