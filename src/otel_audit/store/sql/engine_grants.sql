-- The rights the engine gives this process, as it understood its configuration.
SHOW GRANTS
