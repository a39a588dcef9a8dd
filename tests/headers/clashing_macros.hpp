// Macros that other headers of a user may define. feaug/header_begin.hpp undefines them for feaug's
// headers and for all that they include.
#pragma once

#define FEAUG_POISON a name that clashes with a macro

// <complex.h>, <termios.h>, <math.h>, <sys/sysmacros.h>, and the compiler itself in its GNU
// dialect.
#define I FEAUG_POISON
#define B0 FEAUG_POISON
#define B1 FEAUG_POISON
#define ECHO FEAUG_POISON
#define DOMAIN FEAUG_POISON
#define OVERFLOW FEAUG_POISON
#define major(device) FEAUG_POISON
#define minor(device) FEAUG_POISON
#define linux 1
#define unix 1

// Qt
#define slots FEAUG_POISON
#define signals FEAUG_POISON
#define emit FEAUG_POISON
#define foreach FEAUG_POISON
#define forever FEAUG_POISON

// <windows.h>
#define min(a, b) FEAUG_POISON
#define max(a, b) FEAUG_POISON
#define small FEAUG_POISON
#define near FEAUG_POISON
#define far FEAUG_POISON
#define huge FEAUG_POISON
#define hyper FEAUG_POISON
#define interface FEAUG_POISON
#define pascal FEAUG_POISON
#define cdecl FEAUG_POISON
#define rad1 FEAUG_POISON
#define rad2 FEAUG_POISON
#define IN FEAUG_POISON
#define OUT FEAUG_POISON
#define OPTIONAL FEAUG_POISON
#define VOID FEAUG_POISON
#define ERROR FEAUG_POISON
#define DELETE FEAUG_POISON
#define DIFFERENCE FEAUG_POISON
#define TRUE FEAUG_POISON
#define FALSE FEAUG_POISON

// <X11/X.h>
#define Success FEAUG_POISON
#define None FEAUG_POISON
#define True FEAUG_POISON
#define False FEAUG_POISON
#define Bool FEAUG_POISON
#define Status FEAUG_POISON
#define Always FEAUG_POISON
#define Above FEAUG_POISON
#define Below FEAUG_POISON

// Test frameworks, loggers, <AssertMacros.h>, numerical programs.
#define CHECK(condition) FEAUG_POISON
#define REQUIRE(condition) FEAUG_POISON
#define ASSERT(condition) FEAUG_POISON
#define THROW(condition) FEAUG_POISON
#define LOG(level) FEAUG_POISON
#define check(condition) FEAUG_POISON
#define verify(condition) FEAUG_POISON
#define require(condition, label) FEAUG_POISON
#define DEBUG FEAUG_POISON
#define EPS FEAUG_POISON
#define PI FEAUG_POISON
#define WARP_SIZE FEAUG_POISON
#define A FEAUG_POISON
#define B FEAUG_POISON
#define C FEAUG_POISON
#define D FEAUG_POISON
#define E FEAUG_POISON
#define F FEAUG_POISON
#define G FEAUG_POISON
#define H FEAUG_POISON
#define K FEAUG_POISON
#define L FEAUG_POISON
#define M FEAUG_POISON
#define N FEAUG_POISON
#define O FEAUG_POISON
#define P FEAUG_POISON
#define Q FEAUG_POISON
#define R FEAUG_POISON
#define S FEAUG_POISON
#define T FEAUG_POISON
#define U FEAUG_POISON
#define V FEAUG_POISON
#define W FEAUG_POISON
#define X FEAUG_POISON
#define Y FEAUG_POISON
#define Z FEAUG_POISON
