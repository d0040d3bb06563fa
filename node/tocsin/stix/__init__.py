"""What an object is: STIX 2.1 objects, markings and the effects extension. Pure; time is given."""
