# `cmake -DPROGRAM=… -DFAULT=… -DREPORT=… -P expect_report.cmake`: PROGRAM, run with FAULT, ends with an error and says what the
# regular expression REPORT says. Both are asked for: it is by its exit code that a test fails.
execute_process(COMMAND ${PROGRAM} ${FAULT} RESULT_VARIABLE code OUTPUT_VARIABLE said ERROR_VARIABLE said)
if(code EQUAL 0)
  message(FATAL_ERROR "${FAULT} ended with exit code 0; it said:\n${said}")
elseif(NOT said MATCHES "${REPORT}")
  message(FATAL_ERROR "${FAULT} did not say \"${REPORT}\" but:\n${said}")
endif()
