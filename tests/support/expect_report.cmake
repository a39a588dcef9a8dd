# `cmake -DPROGRAM=… -DFAULT=… -DREPORT=… -P expect_report.cmake`: runs PROGRAM with FAULT. It must end with an error code, because
# tests fail by exit code, and its output must match the regular expression REPORT.
execute_process(COMMAND ${PROGRAM} ${FAULT} RESULT_VARIABLE code OUTPUT_VARIABLE said ERROR_VARIABLE said)
if(code EQUAL 0)
  message(FATAL_ERROR "${FAULT} ended with exit code 0; it said:\n${said}")
elseif(NOT said MATCHES "${REPORT}")
  message(FATAL_ERROR "${FAULT} did not say \"${REPORT}\" but:\n${said}")
endif()
